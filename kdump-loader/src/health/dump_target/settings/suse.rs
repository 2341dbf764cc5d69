//! The settings of kdump of openSUSE and SLES, as `kdump-read-config.sh` and `dracut/kdump-save` of
//! github.com/openSUSE/kdump read them.

use super::{DEFAULT_DIRECTORY, Settings, Target, Variables, text};
use crate::health::capture::Capture;
use crate::health::files::Files;

/// The settings.
pub const ON_MACHINE: &str = "etc/sysconfig/kdump";
/// Copies in the initrd, which the program there reads. `dracut/kdump-save` sources the first, and
/// `init/save_dump.sh`, of older versions, the second.
pub const IN_INITRD: [&str; 2] = ["etc/kdump.conf", ON_MACHINE];
/// Protocols of `KDUMP_SAVEDIR` that lead to another machine.
const NETWORK: [&str; 7] = ["ftp", "scp", "sftp", "ssh", "nfs", "smb", "cifs"];
/// Default of `KDUMP_FREE_DISK_SIZE`, in MiB.
const KEPT_FREE: u64 = 64;

/// The settings that the capture kernel uses.
pub fn variables(files: Files<'_>, capture: &Capture) -> Result<Variables, String> {
    let copies = capture.contents().map(|initrd| &initrd.kept);
    let copy = IN_INITRD.iter().find_map(|path| Some((path, copies?.get(*path)?)));
    Ok(match copy {
        Some((path, copy)) => {
            let place = format!("/{path} of the initrd");
            Variables::of(place, &String::from_utf8_lossy(copy))
        }
        None => Variables::of(format!("/{ON_MACHINE}"), &text(files, ON_MACHINE)?),
    })
}

/// Whether an initrd's file is a copy of the settings.
pub fn is_copy(name: &str) -> bool {
    IN_INITRD.contains(&name)
}

/// Whether the program saves no dump, but only a log: `KDUMP_DUMPFORMAT=none` (kdump(5)).
pub fn saves_only_a_log(variables: &Variables) -> bool {
    variables.value("KDUMP_DUMPFORMAT").is_ok_and(|format| format == Some("none"))
}

/// The target.
///
/// # Errors
///
/// A message that says why it is unknown.
pub fn settings(variables: &Variables) -> Result<Settings, String> {
    let unknown = |why: String| Err(format!("the dump target is unknown: {why}"));
    let path = &variables.place;
    if variables.value("KDUMP_TRANSFER")?.is_some() {
        return unknown(format!("KDUMP_TRANSFER in {path} is a command that saves the dump"));
    }
    let place = variables.value("KDUMP_SAVEDIR")?.unwrap_or(DEFAULT_DIRECTORY);
    // Versions with kdumptool save to each of them, newer ones to one.
    if place.trim().contains(char::is_whitespace) {
        return unknown(format!("KDUMP_SAVEDIR in {path} names several places: {place}"));
    }
    let (protocol, directory) = place.split_once("://").unwrap_or(("file", place));
    let protocol = protocol.to_ascii_lowercase();
    let target = match protocol.as_str() {
        "file" if directory.starts_with('/') => Target::Directory(directory.to_owned()),
        other if NETWORK.contains(&other) => Target::Network(place.to_owned()),
        _ => return unknown(format!("kdump does not know the KDUMP_SAVEDIR in {path}: {place}")),
    };
    let format = variables.value("KDUMP_DUMPFORMAT")?;
    let level = variables.value("KDUMP_DUMPLEVEL")?.unwrap_or("31");
    let collector = match format {
        Some("raw") => "cp".to_owned(),
        _ => format!("makedumpfile -d {level}"),
    };
    let kept = variables.value("KDUMP_FREE_DISK_SIZE")?.and_then(|size| size.parse().ok());
    Ok(Settings {
        target,
        collector,
        // `df --block-size=1M`
        kept_free: kept.unwrap_or(KEPT_FREE).saturating_mul(1 << 20),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_suse_are_parsed_as_by_its_program() {
        let read = |text| settings(&Variables::of("/x".into(), text));
        let directory = |path: &str| Target::Directory(path.into());
        let target = |text| read(text).unwrap().target;
        assert_eq!(target("KDUMP_SAVEDIR=\"file:///var/crash\""), directory("/var/crash"));
        assert_eq!(target("KDUMP_SAVEDIR=\"FILE:///var/crash\""), directory("/var/crash"));
        assert_eq!(target("KDUMP_SAVEDIR=\"/var/crash\""), directory("/var/crash"));
        assert_eq!(
            target("KDUMP_SAVEDIR='nfs://server/x'"),
            Target::Network("nfs://server/x".into())
        );
        assert!(read("KDUMP_SAVEDIR=crash").is_err());
        let collector = |text| read(text).unwrap().collector;
        assert_eq!(collector("KDUMP_DUMPLEVEL=\"0\""), "makedumpfile -d 0");
        assert_eq!(collector("KDUMP_DUMPFORMAT=raw"), "cp");
        let kept = |text| read(text).unwrap().kept_free >> 20;
        assert_eq!([kept(""), kept("KDUMP_FREE_DISK_SIZE=0")], [64, 0]);
        assert_eq!(kept("KDUMP_FREE_DISK_SIZE=much"), 64, "an invalid number is ignored");
    }
}
