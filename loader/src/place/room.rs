//! `[10a]` How much memory a capture kernel needs in addition to its image, as measured.
//!
//! Debian kernels ran in QEMU with less and less crash memory, until none reached user space. The
//! image, including the kernel's `init_size`, is subtracted. Neither the memory of the crashed
//! machine (4 to 64 GiB) nor reading /proc/vmcore changed the figures.
//!
//! | capture kernel, initrd | `crashkernel=` that failed / worked / is safe | image |
//! | --- | --- | --- |
//! | 6.12, 2 MB unpacked | 65, 69 / 66, 67, 71 and more / 80 MiB | 52 MiB |
//! | 7.3, 2 MB unpacked | 80 / 84 / 96 MiB | 58 MiB |
//! | 6.12, Debian's own, 35 MB unpacked | 96 / 112 / – | 62 MiB |

/// The memory that a capture kernel needs in addition to its image, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// With less, every kernel that was measured ran out of memory before user space.
    pub least: u64,
    /// With this, no kernel that was measured ran out of memory.
    pub safe: u64,
}

const MIB: u64 = 1 << 20;

/// Linux 6 (6.12 was measured), and older series, which were not measured.
const LINUX_6: Room = Room { least: 14 * MIB, safe: 28 * MIB };
/// Linux 7 (7.3 was measured), and newer series.
const LINUX_7: Room = Room { least: 26 * MIB, safe: 38 * MIB };
/// The first series for which [`LINUX_7`] is used.
const SERIES_7: u32 = 7;

/// What was enough with an initrd of `--capture` and its parameters, in every run: 80 MiB for Linux
/// 6.12 with an image of 61 MiB, which left 7 MiB unused. `cryptomgr.notests` leaves out what makes
/// other kernels run out of memory.
const CAPTURE_6: u64 = 19 * MIB;
/// The same for Linux 7: 96 MiB with an image of 66 MiB.
const CAPTURE_7: u64 = 30 * MIB;
/// With less than this, and an initrd of `--capture`, no kernel reached user space, in single runs
/// like those of the scenario `capture-least`: for Linux 6.12 with an image of 60 MiB, 64 and 66
/// MiB failed, and 68 MiB saved a dump.
const CAPTURE_LEAST_6: u64 = 5 * MIB;
/// The same for Linux 7 with an image of 65 MiB: 80 MiB failed, and 84 MiB saved a dump.
const CAPTURE_LEAST_7: u64 = 15 * MIB;

/// What a module may take while it is loaded within these: less than the dump needs later. With
/// 12 MB (xfs) and `swiotlb=1024`, 88 MiB were enough for Linux 6.12, and left 10 MiB unused.
const MODULE_IN_CAPTURE: u64 = 6 * MIB;

/// What makedumpfile takes in addition, besides the copy of its files that the image has. With 88
/// MiB for Linux 6.12, the dump of a machine of 2 GiB left at least as much unused as the built-in
/// filter with 80 MiB.
const MAKEDUMPFILE: u64 = 3 * MIB;
/// The length of its files in these runs. More files take more while they are unpacked.
const MAKEDUMPFILE_FILES: u64 = 5 * MIB;

/// Segments of an image besides kernel and initrd: the elfcorehdr takes up to 0.9 MiB, and the hole
/// before the kernel, which is at a multiple of 2 MiB, up to 2 MiB.
pub const OTHER_SEGMENTS: u64 = 2 * MIB;

/// Bytes for each CPU after the first, if `nr_cpus=1` does not exclude it.
const PER_CPU: u64 = 800 * 1000;

/// Sizes for `crashkernel=` are multiples of this.
const STEP_MIB: u64 = 8;

/// Ratio of unpacked to compressed size of an initrd: Debian's had 34.7 MB and 11.2 MB.
const UNPACKED: (u64, u64) = (31, 10);

impl Room {
    /// The memory for a capture kernel of this release, with `cpus` CPUs and an initrd of
    /// `unpacked` bytes when unpacked. An unknown release counts as the one that needs most.
    pub fn needed(release: Option<&str>, unpacked: u64, cpus: u32) -> Self {
        let room = if is_before_7(release) { LINUX_6 } else { LINUX_7 };
        room.and(unpacked.saturating_add(u64::from(cpus.saturating_sub(1)) * PER_CPU))
    }

    /// The [`safe`](Self::safe) memory for a capture kernel of this release, with one CPU, and
    /// with the parameters and the initrd of `--capture`. `module` is what the largest module takes
    /// while it is loaded: its file, its content, and the module. `makedumpfile` is the length of
    /// makedumpfile and its libraries, if they are in the initrd.
    pub fn safe_of_capture(release: Option<&str>, module: u64, makedumpfile: Option<u64>) -> u64 {
        let base = if is_before_7(release) { CAPTURE_6 } else { CAPTURE_7 };
        let run = |len: u64| MAKEDUMPFILE.saturating_add(len.saturating_sub(MAKEDUMPFILE_FILES));
        let run = makedumpfile.map_or(0, run);
        // makedumpfile runs after the modules are loaded.
        base.saturating_add(module.saturating_sub(MODULE_IN_CAPTURE).max(run))
    }

    /// With less than this, no kernel of `--capture` that was measured reached user space.
    pub fn least_of_capture(release: Option<&str>) -> u64 {
        if is_before_7(release) { CAPTURE_LEAST_6 } else { CAPTURE_LEAST_7 }
    }

    fn and(self, more: u64) -> Self {
        Self { least: self.least.saturating_add(more), safe: self.safe.saturating_add(more) }
    }
}

/// A size for `crashkernel=` in MiB, for so many bytes of image and of memory to run.
pub fn estimate(bytes: u64) -> u64 {
    bytes.div_ceil(STEP_MIB << 20) * STEP_MIB
}

/// A size for `crashkernel=` in MiB, for `used` bytes of image with an initrd of `unpacked` bytes
/// when unpacked, and [`safe`](Room::safe) bytes to run. If the image leaves less, it is more than
/// what is reserved.
pub fn suggested_mib(used: u64, unpacked: u64, safe: u64) -> u64 {
    let usual = super::suggested_mib(used.saturating_add(unpacked));
    usual.max(estimate(used.saturating_add(safe)))
}

/// Whether a release is of a series before Linux 7. An unknown one is not.
fn is_before_7(release: Option<&str>) -> bool {
    let series = release.and_then(|release| release.split('.').next()?.parse::<u32>().ok());
    series.is_some_and(|series| series < SERIES_7)
}

/// Estimates how many bytes an initrd has when unpacked, from its first bytes and its length.
pub fn about_unpacked(initrd: &[u8]) -> u64 {
    let len = initrd.len() as u64;
    // A plain archive, unless it is only the microcode before a compressed one.
    let is_plain = initrd.starts_with(b"07070")
        && !initrd.windows(MICROCODE.len()).take(4096).any(|window| window == MICROCODE);
    if is_plain { len } else { len.saturating_mul(UNPACKED.0) / UNPACKED.1 }
}

/// A directory in the plain archive that dracut and initramfs-tools put first
/// (Documentation/arch/x86/microcode.rst).
const MICROCODE: &[u8] = b"kernel/x86/microcode";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_failed_are_too_little_and_safe_sizes_are_enough() {
        let free = |reserved: u64, image: u64| (reserved - image) * MIB;
        let small = Room::needed(Some("6.12.43"), 2_000_000, 1);
        assert!(free(64, 52) < small.least && free(80, 52) >= small.safe - 2_000_000, "{small:?}");
        let newer = Room::needed(Some("7.3.4"), 2_000_000, 1);
        assert!(free(80, 58) < newer.least && free(96, 58) >= newer.safe - 2_000_000, "{newer:?}");
        let debian = Room::needed(Some("6.12.43"), 34_700_000, 1);
        assert!(free(96, 62) < debian.least && free(112, 62) >= debian.least, "{debian:?}");
    }

    #[test]
    fn sizes_that_failed_with_capture_are_too_little_and_those_that_worked_are_not() {
        for (release, image, failed, worked) in [("6.12.118", 60, 64, 68), ("7.3.4", 65, 79, 84)] {
            let least = Room::least_of_capture(Some(release));
            let free = |reserved: u64| (reserved - image) * MIB;
            assert!(free(failed) < least && free(worked) >= least, "{release}: {least}");
            assert!(least < Room::safe_of_capture(Some(release), 0, None), "{release}");
        }
    }

    #[test]
    fn never_less_is_suggested_than_image_and_safe_room_take() {
        let Room { safe, .. } = Room::needed(Some("6.12"), 0, 256);
        let (used, unpacked) = (60 * MIB, 2 * MIB);
        assert!(super::super::suggested_mib(used + unpacked) * MIB < used + safe);
        assert!(suggested_mib(used, unpacked, safe) * MIB >= used + safe);
        assert_eq!(suggested_mib(used, unpacked, 28 * MIB), 192, "the usual size");
    }

    #[test]
    fn every_cpu_but_the_first_and_an_unknown_release_need_more() {
        let one = Room::needed(Some("6.1"), 0, 1);
        assert_eq!(Room::needed(Some("6.1"), 0, 11).least - one.least, 8_000_000);
        assert_eq!(Room::needed(None, 0, 1), LINUX_7);
        assert_eq!(Room::needed(Some("5.10"), 0, 0), LINUX_6);
    }

    #[test]
    fn plain_archive_has_its_own_length() {
        assert_eq!(about_unpacked(b"070701"), 6);
        assert_eq!(about_unpacked(&[0x28; 10]), 31);
        assert_eq!(
            about_unpacked(&[b"070701 kernel/x86/microcode".as_slice(), &[0; 73]].concat()),
            310
        );
    }
}
