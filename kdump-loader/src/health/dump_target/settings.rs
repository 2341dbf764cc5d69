//! The dump target in the services' own settings.

use std::io::ErrorKind;
use std::path::Path;

mod suse; // those of openSUSE and SLES

use super::{Settings, Target, mounts};
use crate::findings::{Code, Finding};
use crate::health::capture::Capture;
use crate::health::files::Files;
use crate::health::saver::Service;
use crate::service::shell::{self, What};

/// Limit of a settings file.
const LARGEST: u64 = 1 << 20;
const KDUMP_TOOLS: &str = "etc/default/kdump-tools";
const KDUMP_UTILS: &str = "etc/kdump.conf";

/// The default of all three services.
const DEFAULT_DIRECTORY: &str = "/var/crash";
/// Defaults of kdump-config, kdump.conf(5) and /etc/sysconfig/kdump.
const DEFAULT_COLLECTOR: &str = "makedumpfile -l -d 31";
/// The option of dracut that mounts a file system in the initrd.
const MOUNT: &str = "--mount";
/// The file system that is named by a tag instead of a device.
const VIRTIOFS: &str = "virtiofs";
/// File systems that kdump.conf may name (`is_fs_type`, kdump-lib.sh).
const FILE_SYSTEMS: [&str; 8] = ["ext2", "ext3", "ext4", "xfs", "btrfs", "minix", VIRTIOFS, "f2fs"];

/// The settings of this service, if it has any.
///
/// # Errors
///
/// A message that says why they are unknown.
pub fn read(
    files: Files<'_>,
    capture: &Capture,
    service: Service,
) -> Result<Option<Settings>, String> {
    Ok(Some(match service {
        Service::Own => return Ok(None),
        // What it leaves out has makedumpfile's numbers.
        Service::Capture => {
            return Ok(capture.made.as_ref().map(|made| Settings {
                target: made.target.clone(),
                collector: format!("makedumpfile -d {}", made.level),
                kept_free: 0,
            }));
        }
        Service::KdumpTools => kdump_tools(&of_kdump_tools(&text(files, KDUMP_TOOLS)?))?,
        Service::KdumpUtils => {
            match capture.contents().and_then(|initrd| initrd.kept.get(KDUMP_UTILS)) {
                // The capture kernel uses the copy in the initrd.
                Some(copy) => kdump_utils(&String::from_utf8_lossy(copy))?,
                None => kdump_utils(&text(files, KDUMP_UTILS)?)?,
            }
        }
        // It reads no settings.
        Service::Kdumpctl => Settings {
            target: Target::Directory(DEFAULT_DIRECTORY.to_owned()),
            collector: "cp".to_owned(),
            kept_free: 0,
        },
        Service::Suse => suse::settings(&suse::variables(files, capture)?)?,
    }))
}

/// The finding about settings that have changed since an initrd was made whose own copy is not
/// visible, because dracut has squashed it. The capture kernel reads that copy.
pub fn newer_than_copy(files: Files<'_>, capture: &Capture, service: Service) -> Option<Finding> {
    let (settings, copies, rebuild) = match service {
        Service::KdumpUtils => (KDUMP_UTILS, &[KDUMP_UTILS][..], "kdumpctl rebuild"),
        Service::Suse => (suse::ON_MACHINE, &suse::IN_INITRD[..], "mkdumprd -f"),
        Service::KdumpTools | Service::Kdumpctl | Service::Own | Service::Capture => return None,
    };
    let initrd = capture.contents()?;
    if copies.iter().any(|copy| initrd.kept.contains_key(*copy)) {
        return None;
    }
    let path = capture.initrd_path.as_ref()?;
    let modified = |path: &Path| files.open(path).ok()?.metadata().ok()?.modified().ok();
    if modified(Path::new(settings))? <= modified(path)? {
        return None;
    }
    let message = format!(
        "/{settings} has changed since the initrd {} was made, whose own copy cannot be read: \
         where the dump goes is unknown",
        path.display()
    );
    let remedy = format!("run {rebuild}, then arm the new initrd");
    Some(Finding::new(Code::TargetUnknown, message).remedy(remedy))
}

/// The text of a settings file; empty if there is none.
fn text(files: Files<'_>, path: &str) -> Result<String, String> {
    match files.read(path, LARGEST) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(format!("the dump target is unknown: /{path} cannot be read: {error}")),
    }
}

/// Whether an initrd's file is a copy of settings.
pub fn is_copy(name: &str) -> bool {
    name.starts_with("etc/") && name.ends_with("kdump.conf") || suse::is_copy(name)
}

/// The file in which openSUSE's settings request no dump, but only a log.
pub fn suse_saves_only_a_log(files: Files<'_>, capture: &Capture) -> Option<String> {
    let variables = suse::variables(files, capture).ok()?;
    suse::saves_only_a_log(&variables).then_some(variables.place)
}

/// Whether kdump-tools saves no dumps: its script exits at once unless `USE_KDUMP` is a nonzero
/// number.
pub fn kdump_tools_is_off(files: Files<'_>) -> bool {
    let text = files.text(KDUMP_TOOLS).unwrap_or_default();
    let variables = of_kdump_tools(&text);
    // A value that needs a shell may be nonzero.
    variables.value("USE_KDUMP").is_ok_and(|value| {
        !value.is_some_and(|value| value.parse().is_ok_and(|number: i64| number != 0))
    })
}

/// The variables of a settings file that shells source.
struct Variables {
    /// The file, for messages.
    place: String,
    all: Vec<(String, Option<String>)>,
}

impl Variables {
    fn of(place: String, text: &str) -> Self {
        let unclear = |line: usize| {
            let (name, _) = text
                .lines()
                .nth(line - 1)?
                .trim_start()
                .trim_start_matches("export ")
                .split_once('=')?;
            Some((name.to_owned(), None))
        };
        let assignments =
            shell::statements(text).into_iter().filter_map(|statement| match statement.what {
                What::Assignment { name, value } => Some((name, value)),
                What::Other => unclear(statement.line),
            });
        Self { place, all: assignments.collect() }
    }

    /// The last value, if it is set and not empty.
    fn value(&self, name: &str) -> Result<Option<&str>, String> {
        match self.all.iter().rfind(|(assigned, _)| assigned == name) {
            Some((_, None)) => Err(format!(
                "the dump target is unknown: the value of {name} in {} needs a shell to evaluate",
                self.place
            )),
            Some((_, Some(value))) => Ok(Some(value.as_str()).filter(|value| !value.is_empty())),
            None => Ok(None),
        }
    }
}

fn of_kdump_tools(text: &str) -> Variables {
    Variables::of(format!("/{KDUMP_TOOLS}"), text)
}

fn kdump_tools(variables: &Variables) -> Result<Settings, String> {
    let mut target = Target::Directory(
        variables.value("KDUMP_COREDIR")?.unwrap_or(DEFAULT_DIRECTORY).to_owned(),
    );
    // kdump-config sends the dump to each of them, NFS last.
    for name in ["FTP", "SSH", "NFS"] {
        if let Some(place) = variables.value(name)? {
            target = Target::Network(format!("{place} ({name})"));
        }
    }
    let collector = match variables.value("MAKEDUMP_ARGS")? {
        Some(arguments) => format!("makedumpfile {arguments}"),
        None => DEFAULT_COLLECTOR.to_owned(),
    };
    Ok(Settings { target, collector, kept_free: 0 })
}

fn kdump_utils(text: &str) -> Result<Settings, String> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    let entries: Vec<(&str, &str)> = lines
        .filter_map(|line| line.split_once(char::is_whitespace))
        .map(|(key, value)| (key, value.trim()))
        .collect();
    let value = |key: &str| entries.iter().rfind(|(name, _)| *name == key).map(|(_, value)| *value);
    let path = value("path").unwrap_or(DEFAULT_DIRECTORY);
    let network =
        ["nfs", "nfs4", "ssh"].into_iter().find_map(|key| Some(format!("{} ({key})", value(key)?)));
    let device = FILE_SYSTEMS.into_iter().find_map(|kind| Some((kind, value(kind)?)));
    let by_dracut = value("dracut_args").filter(|arguments| arguments.contains(MOUNT));
    let target = match (network, value("raw"), device) {
        (Some(place), ..) => Target::Network(place),
        (None, Some(device), _) => Target::Device { device: device.to_owned(), directory: None },
        (None, None, Some((VIRTIOFS, tag))) => {
            Target::Virtiofs { tag: tag.to_owned(), directory: path.to_owned() }
        }
        (None, None, Some((_, device))) => {
            Target::Device { device: device.to_owned(), directory: Some(path.to_owned()) }
        }
        (None, None, None) => match by_dracut {
            Some(arguments) => mounted_by_dracut(arguments, path).ok_or_else(|| {
                format!("the dump target is unknown: /{KDUMP_UTILS} has dracut_args {arguments}")
            })?,
            None => Target::Directory(path.to_owned()),
        },
    };
    let collector = value("core_collector").unwrap_or(DEFAULT_COLLECTOR).to_owned();
    Ok(Settings { target, collector, kept_free: 0 })
}

/// The target of `--mount "DEVICE POINT TYPE …"` (dracut(8)), which is another way to name one in
/// kdump.conf(5). `path` begins with the mount point.
fn mounted_by_dracut(arguments: &str, path: &str) -> Option<Target> {
    let quotes = ['"', '\''];
    let (_, after) = arguments.split_once(MOUNT)?;
    let mount = after.trim_start_matches(|it: char| it == '=' || it == ' ' || quotes.contains(&it));
    let mut fields = mount.split(quotes).next()?.split_whitespace();
    let (device, point, kind) = (fields.next()?, fields.next()?, fields.next()?);
    if mounts::is_network(kind) {
        return Some(Target::Network(format!("{device} ({kind})")));
    }
    let below = Path::new(path).strip_prefix(point).ok()?;
    let directory = Some(format!("/{}", below.display()));
    Some(Target::Device { device: device.to_owned(), directory })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(path: &str) -> Target {
        Target::Directory(path.into())
    }

    #[test]
    fn settings_of_kdump_tools_are_parsed_as_by_its_script() {
        let read = |text| kdump_tools(&of_kdump_tools(text)).unwrap();
        assert_eq!(read("").target, directory("/var/crash"));
        assert_eq!(
            read("KDUMP_COREDIR=\"/srv/crash\"\n#NFS=\"no\"\n").target,
            directory("/srv/crash")
        );
        assert_eq!(
            read("NFS=\"server:/export\"").target,
            Target::Network("server:/export (NFS)".into())
        );
        assert_eq!(
            read("SSH=\"user@server\" # there").target,
            Target::Network("user@server (SSH)".into())
        );
        assert_eq!(read("MAKEDUMP_ARGS=\"-c -d 1\"").collector, "makedumpfile -c -d 1");
    }

    #[test]
    fn value_that_needs_a_shell_is_unknown() {
        let read = |text| kdump_tools(&of_kdump_tools(text));
        for text in [
            "USE_KDUMP=1\nNFS=$(cat /etc/server)\n",
            "NFS=\"$SERVER:/export\"\n",
            "NFS=a\nNFS=`cat x`",
        ] {
            let message = read(text).unwrap_err();
            assert!(message.contains("the value of NFS in /etc/default/kdump-tools"), "{message}");
        }
        assert!(
            read("KDUMP_FAIL_CMD=$(x)\nKDUMP_COREDIR=/crash").is_ok(),
            "the target does not depend on it"
        );
    }

    #[test]
    fn settings_of_kdump_utils_are_parsed_as_by_its_script() {
        let read = |text| kdump_utils(text).unwrap();
        assert_eq!(read("path /var/crash\n#raw /dev/x\n").target, directory("/var/crash"));
        let device = |directory: Option<&str>| Target::Device {
            device: "UUID=5e61".into(),
            directory: directory.map(Into::into),
        };
        assert_eq!(read("path /dumps\next4 UUID=5e61\n").target, device(Some("/dumps")));
        assert_eq!(read("raw UUID=5e61\n").target, device(None));
        assert_eq!(
            read("ssh user@server\npath /x\n").target,
            Target::Network("user@server (ssh)".into())
        );
        assert_eq!(read("core_collector scp # all of it").collector, "scp");
        assert_eq!(
            read("dracut_args --mount \"server:/share /var/crash nfs defaults\"\n").target,
            Target::Network("server:/share (nfs)".into())
        );
        let local = "path /mnt/dumps\ndracut_args --mount \"UUID=5e61 /mnt ext4 defaults\"\n";
        assert_eq!(read(local).target, device(Some("/dumps")));
        assert_eq!(read("dracut_args --add x\n").target, directory("/var/crash"));
        assert!(kdump_utils("dracut_args --mount $TARGET\n").is_err());
    }
}
