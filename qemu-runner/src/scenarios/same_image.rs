//! `peer-image`: the same files and options given to kexec-tools and to the loader as `kexec`, in the same machine; what lies in the crash
//! region then is compared, byte by byte. docs/kexec-compared.md says the same in words.

use std::ops::Range;

use crate::elfcore::{ElfCore, HEADER_LEN};
use crate::error::{Error, check, check_eq};
use crate::first::{CAPTURE_APPEND, First};
use crate::iomem::merged;
use crate::scenario::{Need, Scenario};
use crate::stage::{Setup, Stage, guest};

/// Where the loader stands in for it. The peer has a directory of its own.
const OURS: &str = "/bin/kexec";

/// `struct boot_params` (arch/x86/include/uapi/asm/bootparam.h): a page, and in it, by offset,
const PAGE: usize = 4096;
const EXT_RAMDISK_IMAGE: usize = 0x0c0;
const EXT_CMD_LINE_PTR: usize = 0x0c8;
const E820_ENTRIES: usize = 0x1e8;
const RAMDISK_IMAGE: usize = 0x218;
const RAMDISK_SIZE: usize = 0x21c;
const CMD_LINE_PTR: usize = 0x228;
const E820_TABLE: usize = 0x2d0;
/// Bytes of a `struct boot_e820_entry`, and the type of usable memory.
const E820_ENTRY: usize = 20;
const E820_RAM: u32 = 1;
/// Longest command line that is looked for.
const LONGEST_LINE: usize = 4096;
/// How much of the kernel is compared: less than any has.
const COMPARED: usize = 8 << 20;
/// The kernel dumps nothing of it.
const LOW_1M: u64 = 1 << 20;

/// Where in the boot parameters the two may differ, and why: offsets, the field, the reason. docs/kexec-compared.md has them, too.
const EXPLAINED: &[(Range<usize>, &str, &str)] = &[
    (0x020..0x024, "screen_info: cl_magic, cl_offset", "the command line for protocols before 2.02; only kexec-tools writes it"),
    (0x1d0..0x1d4, "efi_info: efi_memmap", "where the runtime map lies"),
    (0x1e8..0x1e9, "e820_entries", "with --hotplug kexec-tools leaves a sliver of RAM between elfcorehdr and backup"),
    (0x1ec..0x1ed, "secure_boot", "the running kernel's; kexec-tools leaves it unset"),
    (0x1f2..0x1f4, "root_flags", "the file's; kexec-tools asks for a read-only root"),
    (0x1fc..0x1fe, "root_dev", "the file's; kexec-tools names /dev/hda"),
    (0x1ff..0x200, "boot_flag", "the file's; kexec-tools clears its second byte, as `aux_device_info`"),
    (0x218..0x21c, "ramdisk_image", "where the initrd lies"),
    (0x228..0x22c, "cmd_line_ptr", "where the command line lies"),
    (0x250..0x258, "setup_data", "where the list begins"),
];

pub(super) fn all() -> Vec<Scenario> {
    vec![Scenario {
        name: "peer-image",
        summary: "the same options make the same image with kexec-tools and with the loader as `kexec`, but for what is explained",
        needs: &[Need::Makedumpfile, Need::Kexec, Need::Ovmf],
        may_be_skipped: false,
        story: compare,
    }]
}

/// What the capture kernel is handed.
struct Handed {
    /// The page.
    params: Vec<u8>,
    /// The command line.
    line: String,
    /// The memory map: range and type.
    e820: Vec<(Range<u64>, u32)>,
    /// The initial RAM disk's bytes.
    initrd: Vec<u8>,
    /// The elfcorehdr's address, and what it tells to dump.
    elfcorehdr: u64,
    dumped: Vec<Range<u64>>,
    /// The first bytes of the kernel.
    kernel: Vec<u8>,
}

fn compare(stage: &mut Stage<'_>) -> Result<(), Error> {
    let kexec = stage.context.kexec()?.clone();
    let mut first = stage.boot(&Setup { peer: true, efi: true, ..Setup::default() })?;
    first.vm.run_ok(&format!("ln -s {} {OURS}", guest::LOADER))?;
    let region = first.crash_region()?;
    let (low, middle) = (region.start + (32 << 20), (region.start + region.end) / 2);
    let initrd = format!("--initrd={}", guest::INITRD);
    for options in [
        format!("--command-line='{CAPTURE_APPEND}'"),
        format!("--append='{CAPTURE_APPEND}' --reuse-cmdline {initrd} --hotplug"),
        // Behind --append, this would cost the peer its command line.
        format!("--noefi --append='{CAPTURE_APPEND}' {initrd}"),
        format!("--append='{CAPTURE_APPEND}' {initrd} --mem-min={low:#x} --mem-max={:#x}", middle + (64 << 20) - 1),
    ] {
        let words = format!("-p -c -d {options} {}", guest::KERNEL);
        let said = first.vm.run_ok(&format!("{} {words}", kexec.program))?;
        let params = address(&said, "Loaded real_mode_data and command line at ")?;
        let theirs = Handed::read(&first, params, address(&said, "Loaded 64bit kernel at ")?)?;
        first.vm.run_ok(&format!("{OURS} {words} 2>/dev/null"))?;
        let status = first.vm.run_ok(&format!("{} status --json 2>/dev/null", guest::LOADER))?;
        let ours = Handed::read(&first, segment(&status, "boot-params")?.start, segment(&status, "kernel")?.start)?;
        let elfcorehdr = segment(&status, "elfcorehdr")?;

        let what = |part: &str| format!("{part} with {options}");
        check_eq(what("command line"), &ours.words(), &theirs.words())?;
        check(ours.line.contains("acpi_rsdp=") == options.contains("--noefi"), what("acpi_rsdp="), "with --noefi", &ours.line)?;
        check(ours.initrd == theirs.initrd, what("initrd"), "the same bytes", "others")?;
        check(ours.kernel == theirs.kernel, what("kernel"), "the same bytes", "others")?;
        let dumped: Vec<_> = theirs.dumped.iter().filter(|range| range.end > LOW_1M).cloned().collect();
        check(ours.dumped == dumped, what("memory to be dumped"), format!("{dumped:x?}"), format!("{:x?}", ours.dumped))?;
        let (here, there) = (ours.outside(&region), theirs.outside(&region));
        check(here == there, what("memory map outside of the crash region"), format!("{there:x?}"), format!("{here:x?}"))?;
        // Ours lies at the region's start, or where it was asked to; the peer's at the end, with the copy of low memory behind it.
        let mut all = ours.inside(&region);
        all.push(elfcorehdr);
        check(
            merged(&all) == [region.clone()],
            what("memory map of the crash region"),
            format!("{region:x?}"),
            format!("{all:x?}"),
        )?;
        let mut all = theirs.inside(&region);
        all.push(theirs.elfcorehdr..region.end);
        check(merged(&all) == [region.clone()], what("the peer's map of it"), format!("{region:x?}"), format!("{all:x?}"))?;
        let differ = (0..E820_TABLE).filter(|&at| ours.params[at] != theirs.params[at]);
        let unexplained: Vec<_> = differ.filter(|at| !EXPLAINED.iter().any(|(range, ..)| range.contains(at))).collect();
        check(
            unexplained.is_empty(),
            what("boot parameters"),
            "the same but for what is explained",
            format!("{unexplained:#x?}"),
        )?;
        first.note(format!("the same image by both: {options}"));
    }
    first.switch_off();
    Ok(())
}

/// A segment of the armed image, by name.
fn segment(status: &str, name: &str) -> Result<Range<u64>, Error> {
    let unintelligible = || Error::Unintelligible { what: "segments in what `status` printed", text: status.to_owned() };
    let status: serde_json::Value = serde_json::from_str(status).map_err(|_| unintelligible())?;
    let segments = status["record"]["image"]["segments"].as_array().ok_or_else(unintelligible)?;
    let segment = segments.iter().find(|segment| segment["name"] == name).ok_or_else(unintelligible)?;
    let (start, len) = segment["start"].as_u64().zip(segment["len"].as_u64()).ok_or_else(unintelligible)?;
    Ok(start..start + len)
}

impl Handed {
    /// The words of the command line, without where the elfcorehdr lies and what only ours has.
    fn words(&self) -> String {
        let own = |word: &&str| !word.is_empty() && !["elfcorehdr=", "purgatory.report="].iter().any(|own| word.starts_with(own));
        let mut words: Vec<_> = self.line.split(' ').filter(own).collect();
        // The loader puts it behind elfcorehdr=, the peer before.
        words.sort_by_key(|word| word.starts_with("acpi_rsdp="));
        words.join(" ")
    }

    fn outside(&self, region: &Range<u64>) -> Vec<(Range<u64>, u32)> {
        self.e820.iter().filter(|(range, _)| !region.contains(&range.start)).cloned().collect()
    }

    fn inside(&self, region: &Range<u64>) -> Vec<Range<u64>> {
        let ram = self.e820.iter().filter(|(range, kind)| region.contains(&range.start) && *kind == E820_RAM);
        ram.map(|(range, _)| range.clone()).collect()
    }

    /// Reads what lies in memory: boot parameters and kernel at these addresses, and where the boot parameters lead.
    fn read(first: &First<'_, '_>, params: u64, kernel: u64) -> Result<Self, Error> {
        let ram = &first.vm.ram;
        let params = ram.read(params, PAGE)?;
        let word = |at: usize| u32::from_le_bytes(params[at..at + 4].try_into().expect("four bytes"));
        let split = |low, high| u64::from(word(low)) | u64::from(word(high)) << 32;
        let line = ram.read(split(CMD_LINE_PTR, EXT_CMD_LINE_PTR), LONGEST_LINE)?;
        let line = line.split(|&byte| byte == 0).next().unwrap_or_default();
        let line = String::from_utf8_lossy(line).into_owned();
        let initrd = ram.read(split(RAMDISK_IMAGE, EXT_RAMDISK_IMAGE), word(RAMDISK_SIZE) as usize)?;
        let table = params[E820_TABLE..].chunks_exact(E820_ENTRY).take(params[E820_ENTRIES].into());
        let long = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
        let e820 = table.map(|entry| {
            let (start, len) = (long(&entry[..8]), long(&entry[8..16]));
            (start..start + len, u32::from_le_bytes(entry[16..].try_into().expect("four bytes")))
        });
        let e820 = e820.collect();
        let unintelligible = || Error::Unintelligible { what: "elfcorehdr= in a command line", text: line.clone() };
        let word = line.split(' ').find_map(|word| word.strip_prefix("elfcorehdr=")).ok_or_else(unintelligible)?;
        let elfcorehdr = match (word.strip_prefix("0x"), word.strip_suffix('K')) {
            (Some(digits), _) => u64::from_str_radix(digits, 16).ok(),
            (None, Some(digits)) => digits.parse::<u64>().ok().map(|kib| kib << 10),
            (None, None) => None,
        };
        let elfcorehdr = elfcorehdr.ok_or_else(unintelligible)?;
        let dumped = ElfCore::parse(&ram.read(elfcorehdr, HEADER_LEN)?)?.memory();
        let kernel = ram.read(kernel, COMPARED)?;
        Ok(Self { params, line, e820, initrd, elfcorehdr, dumped, kernel })
    }
}

/// The address that kexec-tools' debug output tells behind these words.
fn address(said: &str, words: &str) -> Result<u64, Error> {
    let rest = said.split(words).nth(1).and_then(|rest| rest.split_whitespace().next());
    let digits = rest.and_then(|rest| rest.strip_prefix("0x"));
    let address =
        digits.and_then(|digits| u64::from_str_radix(digits.trim_end_matches(|c: char| !c.is_ascii_hexdigit()), 16).ok());
    address.ok_or_else(|| Error::Unintelligible { what: "kexec-tools' debug output", text: format!("{words} in {said}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_explained_difference_is_in_the_docs() {
        let page = include_str!("../../../docs/kexec-compared.md");
        for (range, field, reason) in EXPLAINED {
            let row = format!("| {:#05x} | {field} | {reason} |", range.start);
            assert!(page.contains(&row), "docs/kexec-compared.md lacks: {row}");
        }
    }
}
