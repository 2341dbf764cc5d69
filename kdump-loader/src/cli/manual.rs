//! The text of `--help` and the man pages besides the options: exit status, files, examples and
//! related pages.

mod pages;

pub use pages::PAGES;

/// The part of a command's page that does not come from clap.
#[derive(Clone, Copy, Debug)]
pub struct Manual {
    /// The command's words after the program's name; empty for the program itself.
    pub command: &'static str,
    /// Facts about no single option, one paragraph each.
    pub notes: &'static [&'static str],
    /// Exit statuses and their meanings.
    pub exit: &'static [(&'static str, &'static str)],
    /// Paths of [`FILES`].
    pub files: &'static [&'static str],
    /// Descriptions and command lines.
    pub examples: &'static [(&'static str, &'static str)],
    /// Other pages, as name and section.
    pub see_also: &'static [(&'static str, &'static str)],
}

/// The statuses of every command that answers no question.
const DONE: &[(&str, &str)] =
    &[("0", "Success."), ("1", "Failure. The message says what happened."), ("2", "Usage error.")];

const CONFIG: &str = "/etc/kdump-loader.toml";
const ARMED: &str = "/run/kdump-loader/armed.json";
const FAILED: &str = "/run/kdump-loader/failed.json";
const PENDING: &str = "/run/kdump-loader/pending";
const LEDGER: &str = "/var/lib/kdump-loader/service.json";
const BLACK_BOX: &str = "/var/lib/kdump-loader/armed.json";
const PANICS: &str = "/var/lib/kdump-loader/panics/";
const LOADED: &str = "/sys/kernel/kexec_crash_loaded";
const IOMEM: &str = "/proc/iomem";
const UNITS: &str = "/usr/lib/systemd/system/kdump-loader*";
const RULE: &str = "/usr/lib/udev/rules.d/40-kdump-loader.rules";
const SYSCTL: &str = "/etc/sysctl.d/60-kdump-loader.conf";

/// The files of all pages, with their purposes.
pub const FILES: [(&str, &str); 12] = [
    (CONFIG, "The config: what the service arms. See kdump-loader.toml(5)."),
    (ARMED, "The armed image, and the files and options that it was made from."),
    (FAILED, "Why the last reload of this boot failed, if it did."),
    (PENDING, "Exists while hotplug events of CPUs or memory wait for a reload."),
    (LEDGER, "Every change that `service install` has made, for `service uninstall`."),
    (BLACK_BOX, "Where the armed image's black box is in crash memory. It outlives a panic."),
    (PANICS, "The last ten panics: record.json, dmesg.txt and capture-dmesg.txt of each."),
    (LOADED, "1 while a capture kernel is armed."),
    (IOMEM, "The memory map with the crash region. Only root sees its addresses."),
    (UNITS, "The units that arm at boot and after hotplug."),
    (RULE, "The udev rule that queues a reload when CPUs or memory are added or removed."),
    (SYSCTL, "Sets kernel.panic_on_oops, so that an oops leaves a dump."),
];

/// The page of a command; `None` if it has none, which a test reports.
pub fn of(command: &str) -> Option<&'static Manual> {
    PAGES.iter().find(|page| page.command == command)
}

/// The end of `--help`: notes, exit statuses and examples.
pub fn help(command: &str) -> String {
    let Some(page) = of(command) else { return String::new() };
    let mut parts: Vec<String> = page.notes.iter().map(ToString::to_string).collect();
    let statuses: String =
        page.exit.iter().map(|(status, meaning)| format!("\n  {status}  {meaning}")).collect();
    parts.push(format!("Exit status:{statuses}"));
    let examples: Vec<String> = page
        .examples
        .iter()
        .map(|(what, lines)| format!("  {what}\n    {}", lines.replace('\n', "\n    ")))
        .collect();
    parts.push(format!("Examples:\n{}", examples.join("\n")));
    parts.join("\n\n")
}
