//! Whether the crash memory is enough for the capture kernel and its user space, compared with
//! measurements ([`loader::place::room`]).

use loader::cmdline;
use loader::image::{Summary, mib};
pub use loader::place::room::estimate;
use loader::place::room::{Room, suggested_mib};

use super::capture::Capture;
use super::files::Files;
use crate::findings::advice::more_room;
use crate::findings::{Code, Finding};

/// Memory to spare that is worth a reboot.
const MUCH: u64 = 32 << 20;

/// `crash_size` is the reserved memory, without CMA.
pub(super) fn look(
    files: Files<'_>,
    capture: &Capture,
    image: Option<&Summary>,
    crash_size: u64,
    findings: &mut Vec<Finding>,
) {
    let used = match image {
        Some(image) => Some(image.used()),
        // The kernel's loader needs the same: room for the unpacked kernel, and the initrd.
        None => capture.init_size.map(|init_size| init_size + capture.initrd_len),
    };
    let Some(used) = used else { return };
    let free = (crash_size + cma(files)).saturating_sub(used);
    let made = capture.made.as_ref().map_or(0, |made| made.len);
    let unpacked = capture.contents().map_or(made, |initrd| initrd.unpacked);
    let cpus =
        cmdline::cpu_limit(&capture.command_line).unwrap_or(u32::MAX).min(possible_cpus(files));
    let release = capture.release.as_deref();
    let Room { least, safe } = match capture.made.as_ref().and_then(|made| made.room) {
        Some(safe) => Room { least: Room::least_of_capture(release), safe },
        None => Room::needed(release, unpacked, cpus),
    };
    // Sizes for `--capture` are known better than those for other initrds.
    let known = capture.made.as_ref().and_then(|made| made.room);
    let wanted =
        known.map_or_else(|| suggested_mib(used, unpacked, safe), |room| estimate(used + room));
    let found = format!("the image leaves {} MiB for the capture kernel to run", mib(free));
    let one_cpu = known.is_none() && free >= Room::needed(release, unpacked, 1).safe;
    let remedy = more_room(one_cpu, wanted);
    if free < least {
        let message = format!(
            "{found}; with less than {} MiB, kernels in tests ran out of memory before user space",
            mib(least)
        );
        findings.push(Finding::new(Code::TooLittleRoom, message).remedy(remedy));
    } else if free < safe {
        let message = format!("{found}; in tests, {} MiB were always enough", mib(safe));
        findings.push(Finding::new(Code::LittleRoom, message).remedy(remedy));
    } else if known.is_some() && free >= safe + MUCH {
        let message = format!(
            "{} MiB of crash memory are reserved; in tests, {wanted} MiB were always enough for \
             --capture",
            crash_size >> 20
        );
        let remedy = format!("boot with crashkernel={wanted}M to give the rest back");
        findings.push(Finding::new(Code::RoomToSpare, message).remedy(remedy));
    }
}

/// Bytes of crash memory in CMA, from lines `START-END` in hexadecimal, end included.
fn cma(files: Files<'_>) -> u64 {
    let text = files.text("sys/kernel/kexec/crash_cma_ranges").unwrap_or_default();
    let number =
        |digits: &str| u64::from_str_radix(digits.trim().trim_start_matches("0x"), 16).ok();
    let len = |line: &str| {
        let (start, end) = line.split_once('-')?;
        number(end)?.checked_sub(number(start)?)?.checked_add(1)
    };
    text.lines().filter_map(len).sum()
}

/// CPUs that the running kernel reserves numbers for. The capture kernel finds the same number.
pub fn possible_cpus(files: Files<'_>) -> u32 {
    let text = files.line("sys/devices/system/cpu/possible").unwrap_or_default();
    let last = text.rsplit([',', '-']).next().and_then(|last| last.parse::<u32>().ok());
    last.map_or(1, |last| last.saturating_add(1))
}
