//! [2b] The settings of the service whose place is taken: which go into the generated configuration, and what becomes of each other one.
//!
//! *On entry* /etc/default/kdump-tools or /etc/sysconfig/kdump. *On exit* keys of the configuration, settings of the kernel, and one line for
//! every setting that was changed from its default.

use std::fmt;
use std::path::PathBuf;

use super::Error;
use super::distribution::Distribution;
use super::shell::{self, Statement, What};
use super::tree::Tree;

/// What is taken over, and what is said about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Keys of the configuration and their values in TOML.
    pub keys: Vec<(&'static str, String)>,
    /// Settings of the kernel, `key=value`, if they are set otherwise than by default.
    pub sysctl: Option<Vec<String>>,
    /// What became of each setting.
    pub fates: Vec<Fate>,
}

/// What became of one setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fate {
    /// The file.
    pub path: PathBuf,
    /// The line in it, from 1.
    pub line: usize,
    /// The setting, if the line is one.
    pub name: Option<String>,
    /// Where it was taken over to, or why it was not.
    pub became: Result<&'static str, String>,
}

impl fmt::Display for Fate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, name, became } = self;
        let name = name.as_deref().unwrap_or("this line");
        match became {
            Ok(into) => write!(out, "take over {}:{line}: {name}, as {into}", path.display()),
            Err(why) => write!(out, "not taken {}:{line}: {name}: {why}", path.display()),
        }
    }
}

/// The variables of one file, each by its last assignment.
struct Variables {
    path: PathBuf,
    /// Name, line, value, and whether it has been dealt with.
    all: Vec<(String, usize, Option<String>)>,
    settings: Settings,
}

const EXPANSION: &str = "its value takes a shell to know; write it into the configuration yourself";
/// Debian's defaults are links that kdump-tools turns to the running kernel; it no longer does that when it is held back.
const DEBIAN_KERNEL: &str = "/var/lib/kdump/vmlinuz";
const DEBIAN_INITRD: &str = "/var/lib/kdump/initrd.img";
/// What kdump-config appends by default.
const DEBIAN_APPEND: &str = "reset_devices systemd.unit=kdump-tools-dump.service nr_cpus=1 irqpoll usbcore.nousb";
/// What kdumpctl's packages ship as defaults on x86_64 (gen-kdump-sysconfig.sh): the call that lets the kernel verify.
const FEDORA_KEXEC_ARGS: &str = "-s";
/// What our paragraph for Fedora has beyond those defaults: partitions that systemd finds by their type are not waited for.
const FEDORA_ADDS: &str = "rd.systemd.gpt_auto=no";
/// Fedora's defaults of where kernels are (kdump-lib.sh).
const FEDORA_BOOT: (&str, &str) = ("/boot", "vmlinuz");
/// Where initial RAM disks of kdumpctl are if /boot cannot be written.
const FEDORA_INITRDS: &str = "/var/lib/kdump";

/// Reads the settings of the service that the distribution has.
pub fn read(tree: &Tree, distribution: Distribution) -> Result<Settings, Error> {
    let path = match distribution {
        Distribution::Debian => "etc/default/kdump-tools",
        Distribution::Fedora | Distribution::Suse => "etc/sysconfig/kdump",
    };
    let Some(text) = tree.text(path)? else { return Ok(Settings::default()) };
    let mut variables = Variables::of(tree.path(path), &text);
    match distribution {
        Distribution::Debian => debian(&mut variables),
        Distribution::Fedora => fedora(&mut variables),
        Distribution::Suse => suse(&mut variables),
    }
    Ok(variables.rest())
}

fn debian(variables: &mut Variables) {
    if let Some((line, value)) = variables.take("USE_KDUMP", &["1"]) {
        let why = format!("it is {value}, with which kdump-tools saves no dump either; set it to 1");
        variables.not("USE_KDUMP", line, why);
    }
    variables.path("KDUMP_KERNEL", "kernel", DEBIAN_KERNEL);
    variables.path("KDUMP_INITRD", "initrd", DEBIAN_INITRD);
    let line = variables.take("KDUMP_CMDLINE", &[]);
    let append = variables.take("KDUMP_CMDLINE_APPEND", &[DEBIAN_APPEND]);
    variables.command_line(line, append, ["KDUMP_CMDLINE", "KDUMP_CMDLINE_APPEND"], DEBIAN_APPEND);
    variables.kexec("KDUMP_KEXEC_ARGS", &[]);
    if let Some((line, value)) = variables.take("KDUMP_SYSCTL", &["kernel.panic_on_oops=1"]) {
        variables.settings.sysctl = Some(value.split_whitespace().map(str::to_owned).collect());
        variables.taken("KDUMP_SYSCTL", line, "settings of the kernel in /usr/lib/sysctl.d/60-kdump-loader.conf");
    }
    variables.leave(
        &[
            "KDUMP_COREDIR",
            "KDUMP_FAIL_CMD",
            "KDUMP_DUMP_DMESG",
            "KDUMP_NUM_DUMPS",
            "KDUMP_COMPRESSION",
            "MAKEDUMP_ARGS",
            "HOSTTAG",
            "NFS",
            "NFS_TIMEO",
            "NFS_RETRANS",
            "NFS_MOUNT_RETRY",
            "FTP",
            "FTP_USER",
            "FTP_PASSWORD",
            "FTP_PORT",
            "SSH",
            "SSH_KEY",
            "SSH_KDUMP_RETRY",
        ],
        "kdump-tools itself reads it when it saves the dump",
    );
    variables.leave(&["DEBUG_KERNEL"], "it names a kernel's symbols, which arming does not need");
}

fn fedora(variables: &mut Variables) {
    let directory = variables.take("KDUMP_BOOTDIR", &[FEDORA_BOOT.0]);
    let image = variables.take("KDUMP_IMG", &[FEDORA_BOOT.1]);
    let extension = variables.take("KDUMP_IMG_EXT", &[]);
    let release = variables.take("KDUMP_KERNELVER", &[]);
    let named =
        [("KDUMP_BOOTDIR", &directory), ("KDUMP_IMG", &image), ("KDUMP_IMG_EXT", &extension), ("KDUMP_KERNELVER", &release)];
    let lines: Vec<_> = named.iter().filter_map(|(name, given)| Some((*name, given.as_ref()?.0))).collect();
    if !lines.is_empty() {
        let or = |given: &Option<(usize, String)>, default: &str| {
            given.as_ref().map_or_else(|| default.to_owned(), |given| given.1.clone())
        };
        let (directory, release) = (or(&directory, FEDORA_BOOT.0), or(&release, "{release}"));
        let kernel = format!("{directory}/{}-{release}{}", or(&image, FEDORA_BOOT.1), or(&extension, ""));
        let initrds = [&directory, FEDORA_INITRDS].map(|directory| string(&format!("{directory}/initramfs-{release}kdump.img")));
        variables.settings.keys.extend([("kernel", string(&kernel)), ("initrd", format!("[{}]", initrds.join(", ")))]);
        lines.into_iter().for_each(|(name, line)| variables.taken(name, line, "kernel and initrd"));
    }
    let remove = variables.take("KDUMP_COMMANDLINE_REMOVE", &[]);
    let mut line = variables.take("KDUMP_COMMANDLINE", &[]);
    match (&mut line, remove) {
        (Some((_, line)), Some((at, remove))) => {
            let removed: Vec<&str> = remove.split_whitespace().collect();
            let kept = line.split_whitespace().filter(|word| !removed.contains(&word.split('=').next().unwrap_or(word)));
            *line = kept.collect::<Vec<_>>().join(" ");
            variables.taken("KDUMP_COMMANDLINE_REMOVE", at, "append");
        }
        (None, Some((at, _))) => {
            variables.not(
                "KDUMP_COMMANDLINE_REMOVE",
                at,
                "the running kernel's command line is not reused, so nothing is removed from it".into(),
            );
        }
        (_, None) => {}
    }
    let default = Distribution::Fedora.default_append();
    let shipped = default.replace(FEDORA_ADDS, "");
    let append = variables.take("KDUMP_COMMANDLINE_APPEND", &[&shipped]);
    let with_added = |(at, append): (usize, String)| {
        (at, if append.contains(FEDORA_ADDS) { append } else { format!("{append} {FEDORA_ADDS}") })
    };
    let names = ["KDUMP_COMMANDLINE", "KDUMP_COMMANDLINE_APPEND"];
    variables.command_line(line, append.map(with_added), names, &default);
    variables.kexec("KEXEC_ARGS", &[FEDORA_KEXEC_ARGS]);
    variables.leave(
        &["VMCORE_CREATION_NOTIFICATION", "KDUMP_STDLOGLVL", "KDUMP_SYSLOGLVL", "KDUMP_KMSGLOGLVL"],
        "kdumpctl itself reads it",
    );
    variables.leave(&["FADUMP_COMMANDLINE_APPEND"], "it is for PowerPC");
}

fn suse(variables: &mut Variables) {
    if let Some((line, value)) = variables.take("KDUMP_KERNELVER", &[]) {
        variables.not(
            "KDUMP_KERNELVER",
            line,
            format!("mkdumprd follows it: the links in /var/lib/kdump lead to {value} once it has run"),
        );
    }
    let line = variables.take("KDUMP_COMMANDLINE", &[]);
    let append = variables.take("KDUMP_COMMANDLINE_APPEND", &[]);
    let mut default = Distribution::Suse.default_append();
    let cpus = variables.take("KDUMP_CPUS", &["1"]);
    if let Some((at, cpus)) = &cpus {
        let wanted = match cpus.parse::<u32>() {
            Ok(0) => Some(String::new()),
            Ok(count) => Some(format!("nr_cpus={count}")),
            Err(_) => None,
        };
        match wanted {
            Some(wanted) => {
                default = default.replace("nr_cpus=1", &wanted).trim().to_owned();
                variables.taken("KDUMP_CPUS", *at, "append");
            }
            None => variables.not("KDUMP_CPUS", *at, format!("{cpus:?} is not a number")),
        }
    }
    // load.sh adds it to what it appends of its own accord; in place of that only if a whole command line is given.
    let added = append.map(|(at, append)| (at, if line.is_some() { append } else { format!("{default} {append}") }));
    let added = added.or_else(|| cpus.filter(|_| line.is_none()).map(|(at, _)| (at, default.clone())));
    variables.command_line(line, added, ["KDUMP_COMMANDLINE", "KDUMP_COMMANDLINE_APPEND"], "");
    variables.kexec("KEXEC_OPTIONS", &[]);
    variables.leave(
        &[
            "KDUMP_SAVEDIR",
            "KDUMP_KEEP_OLD_DUMPS",
            "KDUMP_FREE_DISK_SIZE",
            "KDUMP_VERBOSE",
            "KDUMP_DUMPLEVEL",
            "KDUMP_DUMPFORMAT",
            "KDUMP_CONTINUE_ON_ERROR",
            "KDUMP_REQUIRED_PROGRAMS",
            "KDUMP_PRESCRIPT",
            "KDUMP_POSTSCRIPT",
            "KDUMP_NETCONFIG",
            "KDUMP_NET_TIMEOUT",
            "KDUMP_TRANSFER",
            "KDUMP_HOST_KEY",
            "KDUMP_SSH_IDENTITY",
            "KDUMP_SMTP_SERVER",
            "KDUMP_SMTP_USER",
            "KDUMP_SMTP_PASSWORD",
            "KDUMP_NOTIFICATION_TO",
            "KDUMP_NOTIFICATION_CC",
            "KDUMP_IMMEDIATE_REBOOT",
            "MAKEDUMPFILE_OPTIONS",
        ],
        "mkdumprd puts it into the initial RAM disk, for the program that saves the dump",
    );
    variables.leave(&["KDUMP_AUTO_RESIZE"], "kdump-loader never gives reserved memory back");
    variables.leave(&["KDUMP_FADUMP", "KDUMP_FADUMP_SHELL", "FADUMP_COMMANDLINE_APPEND"], "it is for PowerPC");
    variables.leave(&["KDUMP_COPY_KERNEL", "KDUMPTOOL_FLAGS"], "openSUSE's kdump no longer reads it either");
}

impl Variables {
    fn of(path: PathBuf, text: &str) -> Self {
        let mut variables = Self { path, all: Vec::new(), settings: Settings::default() };
        for Statement { line, what } in shell::statements(text) {
            match what {
                What::Assignment { name, value } => {
                    variables.all.retain(|(known, ..)| *known != name);
                    variables.all.push((name, line, value));
                }
                What::Other => variables.fate(None, line, Err("it is not a plain assignment".into())),
            }
        }
        variables
    }

    fn fate(&mut self, name: Option<&str>, line: usize, became: Result<&'static str, String>) {
        self.settings.fates.push(Fate { path: self.path.clone(), line, name: name.map(str::to_owned), became });
    }

    fn taken(&mut self, name: &str, line: usize, into: &'static str) {
        self.fate(Some(name), line, Ok(into));
    }

    fn not(&mut self, name: &str, line: usize, why: String) {
        self.fate(Some(name), line, Err(why));
    }

    /// The line and value of a setting that is neither empty nor one of its defaults. One that cannot be known is named.
    fn take(&mut self, name: &str, defaults: &[&str]) -> Option<(usize, String)> {
        let at = self.all.iter().position(|(known, ..)| known == name)?;
        let (_, line, value) = self.all.remove(at);
        let Some(value) = value else {
            self.not(name, line, EXPANSION.into());
            return None;
        };
        (!value.is_empty() && !defaults.iter().any(|default| same_words(default, &value))).then_some((line, value))
    }

    fn path(&mut self, name: &str, key: &'static str, default: &str) {
        if let Some((line, value)) = self.take(name, &[default]) {
            if value.starts_with('/') {
                self.settings.keys.push((key, string(&value)));
                self.taken(name, line, key);
            } else {
                self.not(name, line, format!("{value:?} is not an absolute path"));
            }
        }
    }

    /// A whole command line, in place of the running kernel's, and what is appended, by default `default`.
    fn command_line(&mut self, line: Option<(usize, String)>, append: Option<(usize, String)>, names: [&str; 2], default: &str) {
        if line.is_none() && append.is_none() {
            return;
        }
        let appended = append.as_ref().map_or(default, |(_, append)| append.as_str());
        let whole = match &line {
            Some((at, whole)) => {
                self.settings.keys.push(("reuse_cmdline", "false".into()));
                self.taken(names[0], *at, "append");
                format!("{whole} {appended}")
            }
            None => appended.to_owned(),
        };
        self.settings.keys.push(("append", string(&whole.split_whitespace().collect::<Vec<_>>().join(" "))));
        if let Some((at, _)) = append {
            self.taken(names[1], at, "append");
        }
    }

    /// Options of kexec, as far as the configuration has a key for them.
    fn kexec(&mut self, name: &str, defaults: &[&str]) {
        let Some((line, value)) = self.take(name, defaults) else { return };
        let mut others: Vec<&str> = Vec::new();
        for option in value.split_whitespace() {
            let (key, value) = match option {
                "-s" | "--kexec-file-syscall" => ("file", string("always")),
                "-c" | "--kexec-syscall" => ("file", string("never")),
                "-a" | "--kexec-syscall-auto" => ("file", string("auto")),
                "--noefi" => ("noefi", "true".into()),
                _ => {
                    others.push(option);
                    continue;
                }
            };
            self.settings.keys.retain(|(known, _)| *known != key);
            self.settings.keys.push((key, value));
        }
        let by_kernel = self.settings.keys.contains(&("file", string("always")));
        if by_kernel && self.settings.keys.iter().any(|(key, _)| *key == "noefi") {
            self.settings.keys.retain(|(key, _)| *key != "noefi");
            others.push("--noefi together with -s");
        }
        if others.is_empty() {
            self.taken(name, line, "file or noefi");
        } else {
            self.not(name, line, format!("the configuration has no key for {}", others.join(" ")));
        }
    }

    fn leave(&mut self, names: &[&str], why: &str) {
        for name in names {
            if let Some((line, _)) = self.take(name, &[]) {
                self.not(name, line, why.to_owned());
            }
        }
    }

    /// Everything that nobody asked for.
    fn rest(mut self) -> Settings {
        for (name, line, _) in std::mem::take(&mut self.all) {
            self.not(&name, line, "this program does not know it".into());
        }
        self.settings.fates.sort_by_key(|fate| fate.line);
        self.settings
    }
}

/// Whether two command lines have the same words in the same order.
fn same_words(one: &str, other: &str) -> bool {
    one.split_whitespace().eq(other.split_whitespace())
}

/// A string in TOML.
fn string(text: &str) -> String {
    // A JSON string is one in TOML.
    serde_json::to_string(text).expect("text always serializes")
}

#[cfg(test)]
mod tests;
