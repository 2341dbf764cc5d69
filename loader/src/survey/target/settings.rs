//! What the services' own files say about the target.

use std::io::ErrorKind;

use super::{Settings, Target};
use crate::survey::capture::Capture;
use crate::survey::files::Files;
use crate::survey::saver::Service;

const KDUMP_TOOLS: &str = "etc/default/kdump-tools";
const KDUMP_UTILS: &str = "etc/kdump.conf";
const SUSE: &str = "etc/sysconfig/kdump";

/// The default of all three services.
const DEFAULT_DIRECTORY: &str = "/var/crash";
/// Defaults of kdump-config, kdump.conf(5) and /etc/sysconfig/kdump.
const DEFAULT_COLLECTOR: &str = "makedumpfile -l -d 31";
/// File systems that kdump.conf may name (`is_fs_type`, kdump-lib.sh).
const FILE_SYSTEMS: [&str; 8] = ["ext2", "ext3", "ext4", "xfs", "btrfs", "minix", "virtiofs", "f2fs"];

/// The settings of this service, if it is one that has any; an error says which file cannot be read.
pub fn read(files: Files<'_>, capture: &Capture, service: Service) -> Result<Option<Settings>, String> {
    let text = |path: &str| match files.read(path, 1 << 20) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(format!("where the dump goes is unknown: /{path} cannot be read: {error}")),
    };
    Ok(Some(match service {
        Service::Own => return Ok(None),
        Service::KdumpTools => kdump_tools(&text(KDUMP_TOOLS)?),
        Service::KdumpUtils => match capture.contents().and_then(|initrd| initrd.kept.get(KDUMP_UTILS)) {
            // The copy in the initrd is the one that is used.
            Some(copy) => kdump_utils(&String::from_utf8_lossy(copy)),
            None => kdump_utils(&text(KDUMP_UTILS)?),
        },
        Service::Suse => suse(&text(SUSE)?),
    }))
}

/// The value of a variable in a file that a shell reads: the last assignment, without quotes.
pub fn shell_value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut assignments = text.lines().filter_map(|line| line.trim_start().strip_prefix(name)?.strip_prefix('='));
    let value = assignments.next_back()?.trim();
    Some(match value.chars().next() {
        Some(quote @ ('"' | '\'')) => value[1..].split(quote).next().unwrap_or_default(),
        _ => value.split_whitespace().next().unwrap_or_default(),
    })
}

fn kdump_tools(text: &str) -> Settings {
    let value = |name| shell_value(text, name).filter(|value| !value.is_empty());
    let network = ["NFS", "SSH", "FTP"].into_iter().find_map(|name| Some(format!("{} ({name})", value(name)?)));
    let target = match network {
        Some(place) => Target::Network(place),
        None => Target::Directory(value("KDUMP_COREDIR").unwrap_or(DEFAULT_DIRECTORY).to_owned()),
    };
    let collector = value("MAKEDUMP_ARGS").map_or(DEFAULT_COLLECTOR.to_owned(), |arguments| format!("makedumpfile {arguments}"));
    Settings { target, collector }
}

fn kdump_utils(text: &str) -> Settings {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    let entries: Vec<(&str, &str)> =
        lines.filter_map(|line| line.split_once(char::is_whitespace)).map(|(key, value)| (key, value.trim())).collect();
    let value = |key: &str| entries.iter().rfind(|(name, _)| *name == key).map(|(_, value)| *value);
    let path = value("path").unwrap_or(DEFAULT_DIRECTORY);
    let network = ["nfs", "nfs4", "ssh"].into_iter().find_map(|key| Some(format!("{} ({key})", value(key)?)));
    let device = FILE_SYSTEMS.into_iter().find_map(value);
    let target = match (network, value("raw"), device) {
        (Some(place), ..) => Target::Network(place),
        (None, Some(device), _) => Target::Device { device: device.to_owned(), directory: None },
        (None, None, Some(device)) => Target::Device { device: device.to_owned(), directory: Some(path.to_owned()) },
        (None, None, None) => Target::Directory(path.to_owned()),
    };
    Settings { target, collector: value("core_collector").unwrap_or(DEFAULT_COLLECTOR).to_owned() }
}

fn suse(text: &str) -> Settings {
    let value = |name| shell_value(text, name).filter(|value| !value.is_empty());
    let place = value("KDUMP_SAVEDIR").unwrap_or(DEFAULT_DIRECTORY);
    let target = match place.split_once("://") {
        None | Some(("file", _)) => Target::Directory(place.trim_start_matches("file://").to_owned()),
        Some(_) => Target::Network(place.to_owned()),
    };
    // KDUMP_DUMPFORMAT=none copies everything (kdump(5)).
    let collector = match (value("KDUMP_DUMPFORMAT"), value("KDUMP_DUMPLEVEL")) {
        (Some("none"), _) => "cp".to_owned(),
        (_, level) => format!("makedumpfile -d {}", level.unwrap_or("31")),
    };
    Settings { target, collector }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(path: &str) -> Target {
        Target::Directory(path.into())
    }

    #[test]
    fn settings_of_kdump_tools_are_read_as_its_script_reads_them() {
        let read = |text| kdump_tools(text);
        assert_eq!(read("").target, directory("/var/crash"));
        assert_eq!(read("KDUMP_COREDIR=\"/srv/crash\"\n#NFS=\"no\"\n").target, directory("/srv/crash"));
        assert_eq!(read("NFS=\"server:/export\"").target, Target::Network("server:/export (NFS)".into()));
        assert_eq!(read("SSH=\"user@server\" # there").target, Target::Network("user@server (SSH)".into()));
        assert_eq!(read("MAKEDUMP_ARGS=\"-c -d 1\"").collector, "makedumpfile -c -d 1");
    }

    #[test]
    fn settings_of_kdump_utils_are_read_as_its_script_reads_them() {
        let read = |text| kdump_utils(text);
        assert_eq!(read("path /var/crash\n#raw /dev/x\n").target, directory("/var/crash"));
        let device =
            |directory: Option<&str>| Target::Device { device: "UUID=5e61".into(), directory: directory.map(Into::into) };
        assert_eq!(read("path /dumps\next4 UUID=5e61\n").target, device(Some("/dumps")));
        assert_eq!(read("raw UUID=5e61\n").target, device(None));
        assert_eq!(read("ssh user@server\npath /x\n").target, Target::Network("user@server (ssh)".into()));
        assert_eq!(read("core_collector scp # all of it").collector, "scp");
    }

    #[test]
    fn settings_of_suse_are_read_as_its_program_reads_them() {
        let read = |text| suse(text);
        assert_eq!(read("KDUMP_SAVEDIR=\"file:///var/crash\"").target, directory("/var/crash"));
        assert_eq!(read("KDUMP_SAVEDIR=\"/var/crash\"").target, directory("/var/crash"));
        assert_eq!(read("KDUMP_SAVEDIR='nfs://server/x'").target, Target::Network("nfs://server/x".into()));
        assert_eq!(read("KDUMP_DUMPLEVEL=\"0\"").collector, "makedumpfile -d 0");
        assert_eq!(read("KDUMP_DUMPFORMAT=none").collector, "cp");
    }
}
