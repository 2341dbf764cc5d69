//! `[11b]` Rejects files that kexec_file_load(2) would reject.
//!
//! In the system call it would be too late: the kernel frees the armed image before it reads the
//! files (`kexec_file_load`, kernel/kexec_file.c), and explains its errors only in dmesg.
//!
//! *On entry*
//! * the files' bytes, and the facts about the machine.
//!
//! *On exit*
//! * every check that user space can make has passed. Only the kernel can check the signature.

use std::ffi::CString;

use handoff::PAGE_SIZE;

use crate::cmdline;
use crate::describe::bootparams;
use crate::kernel::bzimage::{self, XLF_5LEVEL};
use crate::kernel::{self, CaptureKernel, Defect};
use crate::machine::Reservation;
use crate::place::{self, KernelNeeds, Needs, PurgatoryNeeds};
use crate::request::InputFile;
use crate::{Error, admit};

/// Bytes of the kernel's boot_params without the command line: the page, and one for the setup_data
/// after it.
const KERNELS_BOOT_PARAMS: u64 = 2 * PAGE_SIZE;
/// Bytes of each dm-crypt key that the kernel passes on (`struct dm_crypt_key`,
/// kernel/crash_dump_dm_crypt.c).
const KEY_LEN: u64 = 4 + 128 + 256;
/// Bytes of the kernel's own purgatory in memory: five pages in 6.12 and 7.2
/// (`kexec_purgatory_setup_kbuf`, kernel/kexec_file.c).
const KERNELS_PURGATORY: u64 = 5 * PAGE_SIZE;

/// Makes every check that user space can make. Returns the kernel, taken out of a unified kernel
/// image if it was in one, and the command line to pass.
pub fn check<'f>(
    kernel: &'f InputFile,
    initrd: Option<&InputFile>,
    command_line: &[u8],
    machine: &Reservation,
) -> Result<(CaptureKernel<'f>, CString), Error> {
    let parsed = kernel::parse(kernel)?;
    if kernel::format_of(parsed.file) != Some(bzimage::FORMAT.name) {
        return Err(
            kernel::Error { path: kernel.path.clone(), defect: Defect::NotForKernel }.into()
        );
    }
    if let Some(initrd) = initrd.filter(|initrd| initrd.bytes.is_empty()) {
        return Err(Error::EmptyInitrd { path: initrd.path.clone() });
    }
    if machine.cpu.la57 && parsed.xloadflags & XLF_5LEVEL == 0 {
        return Err(bootparams::Error::FiveLevels { xloadflags: parsed.xloadflags }.into());
    }
    let command_line =
        cmdline::for_kernel(command_line, parsed.cmdline_size, machine.dm_crypt_keys > 0)?;
    let region = machine.crash_region()?;
    let initrd = initrd.map(|initrd| initrd.bytes.len() as u64);
    // The kernel places segments from the top and this loader from the bottom, but the sizes are
    // the same.
    let needs = Needs {
        elfcorehdr: machine.elfcorehdr_size.unwrap_or(PAGE_SIZE),
        hole: place::hole(machine.cpu.gbpages, &machine.system_ram),
        kernel: KernelNeeds {
            len: parsed.init_size,
            alignment: parsed.alignment,
            pref_address: parsed.pref_address,
        },
        initrd,
        boot_params: KERNELS_BOOT_PARAMS + u64::from(machine.dm_crypt_keys) * KEY_LEN,
        command_line: command_line.as_bytes_with_nul().len() as u64,
        purgatory: PurgatoryNeeds { len: KERNELS_PURGATORY, alignment: PAGE_SIZE },
    };
    place::place(&needs, region)?;
    let limit = machine.total_ram / 2;
    for (what, len) in
        [("the capture kernel", parsed.init_size), ("the initrd", initrd.unwrap_or(0))]
    {
        if len > limit {
            return Err(admit::Error::HalfOfRam { what, len, limit }.into());
        }
    }
    Ok((parsed, command_line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::{bzimage, pattern};
    use crate::machine::example;

    fn reservation() -> Reservation {
        let root = tempfile::tempdir().unwrap();
        example::plant(root.path(), &example::files());
        Reservation::read(root.path()).unwrap()
    }

    fn file(bytes: Vec<u8>) -> InputFile {
        InputFile { path: "file".into(), bytes }
    }

    fn checked(
        kernel: Vec<u8>,
        initrd: &[u8],
        command_line: &str,
        machine: &Reservation,
    ) -> Result<CString, String> {
        let (kernel, initrd) = (file(kernel), file(initrd.to_vec()));
        let checked = check(&kernel, Some(&initrd), command_line.as_bytes(), machine);
        checked.map(|(_, line)| line).map_err(|error| {
            let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| {
                error.source()
            });
            causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
        })
    }

    fn good() -> Vec<u8> {
        bzimage(&pattern(50_000))
    }

    #[test]
    fn sound_files_pass_with_their_command_line() {
        assert_eq!(
            checked(good(), b"initrd", " quiet ro ", &reservation()),
            Ok(c"quiet ro".into())
        );
    }

    #[test]
    fn files_that_the_kernel_would_refuse_after_freeing_the_armed_image_are_refused() {
        let machine = reservation();
        let refused = |kernel, initrd: &[u8], line: &str, machine: &Reservation, word: &str| {
            let message = checked(kernel, initrd, line, machine).unwrap_err();
            assert!(message.contains(word), "{word}: {message}");
        };
        let vmlinux =
            crate::example::VmlinuxSegment { paddr: 0x100_0000, bytes: pattern(100), memsz: 100 };
        refused(
            crate::example::vmlinux(0x100_0000, &[vmlinux]),
            b"i",
            "",
            &machine,
            "bzImages only",
        );
        refused(b"\x1f\x8b and more".to_vec(), b"i", "", &machine, "gzip");
        refused(good()[..40_000].to_vec(), b"i", "", &machine, "truncated");
        refused(good(), b"", "", &machine, "empty");
        refused(good(), b"i", &"a".repeat(2047), &machine, "reads 2047");
        refused(good(), b"i", "quiet elfcorehdr=1", &machine, "elfcorehdr");
        // With dm-crypt keys, the kernel adds 31 more bytes.
        let longest = "a".repeat(2047 - 31);
        assert!(checked(good(), b"i", &longest, &machine).is_ok());
        let with_keys = Reservation { dm_crypt_keys: 1, ..machine.clone() };
        refused(good(), b"i", &longest, &with_keys, "2047");
        assert!(checked(good(), b"i", &longest[31..], &with_keys).is_ok());
        let mut large = good();
        large[0x260..0x264].copy_from_slice(&(400u32 << 20).to_le_bytes());
        refused(large, b"i", "", &machine, "too small");
        let nothing = Reservation { crash_regions: Vec::new(), ..machine.clone() };
        refused(good(), b"i", "", &nothing, "no memory is reserved");
        let poor = Reservation { total_ram: 4 << 20, ..machine.clone() };
        refused(good(), b"i", "", &poor, "half");
        let mut machine = machine;
        machine.cpu.la57 = true;
        let mut old = good();
        old[0x236] &= !(XLF_5LEVEL as u8);
        refused(old, b"i", "", &machine, "five levels");
    }
}
