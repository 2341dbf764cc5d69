//! Estimates the size of the dump: the memory in use now that makedumpfile keeps.

use super::super::capture::Capture;
use super::super::files::Files;
use super::super::saver::Service;
use crate::capture::makedumpfile::version;
use crate::findings::{Code, Finding};

/// The collector that leaves pages out.
const MAKEDUMPFILE: &str = "makedumpfile";
/// Limit of the program's size. Debian's has 0.4 MB.
const LARGEST: u64 = 16 << 20;

/// Page types that `-d LEVEL` excludes (makedumpfile(8)).
const CACHE: u32 = 2 | 4;
const USER: u32 = 8;
const FREE: u32 = 16;

/// Bytes of a dump, before compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// If all free pages are left out as pages of zeroes.
    pub least: u64,
    /// If none are.
    pub most: u64,
}

/// The size of a dump by this collector. Every collector but makedumpfile copies everything.
pub fn bytes(files: Files<'_>, collector: &str, keeps_free_pages: bool) -> Option<Need> {
    let text = files.text("proc/meminfo")?;
    let line = |key: &str| {
        text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).map(str::trim)
    };
    let value =
        |key: &str| line(key)?.strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024);
    let total = value("MemTotal")?;
    let level = level(collector);
    let excluded = |bit: u32, keys: &[&str]| -> u64 {
        if level & bit == 0 { 0 } else { keys.iter().filter_map(|key| value(key)).sum() }
    };
    // The other lines do not include huge pages. Linux before 4.16 reports only their number
    // (`hugetlb_report_meminfo`).
    let counted =
        || line("HugePages_Total")?.parse::<u64>().ok()?.checked_mul(value("Hugepagesize")?);
    let huge_pages =
        if level & USER == 0 { 0 } else { value("Hugetlb").or_else(counted).unwrap_or(0) };
    // Those of the default size that are reserved and not used. They are not in MemFree.
    let unused =
        || line("HugePages_Free")?.parse::<u64>().ok()?.checked_mul(value("Hugepagesize")?);
    let unused = if level & USER == 0 { unused().unwrap_or(0) } else { 0 };
    let used = excluded(CACHE, &["Buffers", "Cached", "SwapCached"])
        + excluded(USER, &["AnonPages"])
        + huge_pages;
    let free = if keeps_free_pages { 0 } else { excluded(FREE, &["MemFree"]) };
    // Free memory that was never used is zero. makedumpfile leaves such pages out or compresses
    // them to almost nothing.
    let zeroes = match collector.contains(MAKEDUMPFILE) {
        true => free.max(value("MemFree").unwrap_or(0)).saturating_add(unused),
        false => free,
    };
    let without = |free| total.saturating_sub(used.saturating_add(free));
    Some(Need { least: without(zeroes), most: without(free) })
}

/// The level of `-d`, as in `-d 31` or `-d31`. From a list with commas, the last one, which
/// makedumpfile tries if the others do not fit.
fn level(collector: &str) -> u32 {
    if !collector.contains(MAKEDUMPFILE) {
        return 0;
    }
    let words: Vec<&str> = collector.split_whitespace().collect();
    let value =
        words.iter().enumerate().find_map(|(index, word)| match word.strip_prefix("-d")? {
            "" => words.get(index + 1).copied(),
            value => Some(value),
        });
    value.and_then(|value| value.rsplit(',').next()?.parse().ok()).unwrap_or(0)
}

/// Whether this makedumpfile keeps the running kernel's free pages.
pub fn too_old(
    files: Files<'_>,
    capture: &Capture,
    service: Service,
    collector: &str,
    findings: &mut Vec<Finding>,
) -> bool {
    let release = files.line("proc/sys/kernel/osrelease").unwrap_or_default();
    if !version::has_new_page_types(&release) || level(collector) & FREE == 0 {
        return false;
    }
    let in_initrd = || {
        let kept = &capture.contents()?.kept;
        kept.iter()
            .find(|(name, content)| name.ends_with("makedumpfile") && !content.is_empty())
            .map(|(_, content)| content.clone())
    };
    let on_root = || {
        ["usr/bin/makedumpfile", "usr/sbin/makedumpfile"]
            .iter()
            .find_map(|path| files.read(path, LARGEST).ok())
    };
    let program = match service {
        Service::KdumpTools => on_root(),
        // Without makedumpfile, the built-in filter finds the free pages.
        Service::Capture => match capture.made.as_ref().and_then(|it| it.makedumpfile.as_ref()) {
            Some(program) => files.read(program, LARGEST).ok(),
            None => return false,
        },
        _ => in_initrd(),
    };
    match program.as_deref().and_then(version::of) {
        Some(version) if version::is_before_new_page_types(&version) => {
            let message = version::keeps_free_pages(&version, &release);
            let remedy = "install makedumpfile 1.7.7 or newer, and rebuild the initrd if it \
                          contains makedumpfile";
            findings.push(Finding::new(Code::MakedumpfileTooOld, message).remedy(remedy));
            true
        }
        Some(_) => false,
        None => {
            let message = format!(
                "the version of makedumpfile is unknown; versions before 1.7.7 keep every free \
                 page of Linux {release}"
            );
            findings.push(Finding::new(Code::MakedumpfileUnknown, message));
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn level_is_parsed_as_by_getopt() {
        for (collector, expected) in [
            ("makedumpfile -l --message-level 7 -d 31", 31),
            ("makedumpfile -c -d1", 1),
            ("makedumpfile -d 1,31", 31),
            ("makedumpfile -c", 0),
            ("scp -d 31", 0),
        ] {
            assert_eq!(level(collector), expected, "{collector}");
        }
    }

    #[test]
    fn dump_holds_pages_that_the_level_does_not_exclude() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("proc")).unwrap();
        let text = "MemTotal: 1000 kB\nMemFree: 500 kB\nBuffers: 10 kB\nCached: 190 kB\n\
                    SwapCached: 0 kB\nAnonPages: 200 kB\n";
        std::fs::write(root.path().join("proc/meminfo"), text).unwrap();
        let need = |collector, keeps_free| {
            let need = bytes(Files::new(root.path()), collector, keeps_free).unwrap();
            (need.least / 1024, need.most / 1024)
        };
        assert_eq!(need("makedumpfile -d 31", false), (100, 100));
        assert_eq!(need("makedumpfile -d 31", true), (100, 600), "free pages may all be zeroes");
        assert_eq!(need("makedumpfile -d 16", false), (500, 500));
        assert_eq!(
            [need("makedumpfile -d 0", false), need("cp", false)],
            [(500, 1000), (1000, 1000)]
        );
    }

    #[test]
    fn huge_pages_are_user_pages() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("proc")).unwrap();
        let need = |more: &str, collector| {
            let text = format!("MemTotal: 10000 kB\nMemFree: 1000 kB\n{more}");
            std::fs::write(root.path().join("proc/meminfo"), text).unwrap();
            bytes(Files::new(root.path()), collector, false).unwrap().least / 1024
        };
        let counted = "HugePages_Total:       4\nHugepagesize:       2048 kB\n";
        let of_all_sizes = format!("{counted}Hugetlb:            8500 kB\n");
        assert_eq!(
            [need(counted, "makedumpfile -d 31"), need(&of_all_sizes, "makedumpfile -d 31")],
            [808, 500]
        );
        assert_eq!(need(counted, "makedumpfile -d 16"), 9000);
        // Three of four were never used, so they may all be zeroes.
        let unused = format!("{counted}HugePages_Free:        3\n");
        assert_eq!(need(&unused, "makedumpfile -d 17"), 9000 - 3 * 2048);
        assert_eq!(need(&unused, "makedumpfile -d 31"), 808, "all are left out as user pages");
        assert_eq!(need(&unused, "cp"), 10000);
    }
}
