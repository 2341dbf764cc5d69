//! `peer-image`: every option, given to kexec-tools and to the loader as `kexec` on the same
//! machine.
//!
//! Both images are compared in the crash region, byte by byte. docs/kexec-compared.md lists the
//! results.

mod calls; // what is given to both
mod handed; // what is in memory then

use std::ops::Range;
use std::time::Duration;

use crate::error::{Error, check, check_eq};
use crate::evidence::iomem::merged;
use crate::machine::agent::Output;
use crate::machine::deadline::Deadline;
use crate::scenario::table;
use crate::stage::first::{CAPTURE_APPEND, First};
use crate::stage::{Setup, Stage, guest};
use calls::{CALLS, Call, Outcome};
use handed::{E820_TABLE, Handed};

/// Where the loader stands in for it. The peer has a directory of its own.
const OURS: &str = "/bin/kexec";
/// Some forty calls by two programs, which take about two minutes of an emulated processor's time.
const LIMIT: Duration = Duration::from_secs(600);
/// What kexec-tools' debug output says of an image of its own: where the boot parameters are, and
/// the kernel, and what it says instead of one that is entered in 32-bit mode
/// (kexec/arch/x86_64/kexec-bzImage64.c, kexec/arch/i386/kexec-bzImage.c).
const PEERS_PARAMS: &str = "Loaded real_mode_data and command line at ";
const PEERS_KERNEL: &str = "Loaded 64bit kernel at ";
const PEERS_32BIT: &str = "Loaded 32bit kernel at ";
/// What the kernel writes in front of a command line: where the elfcorehdr is, in eight digits
/// below 4 GiB.
const KERNELS_WORD: &[u8] = b"elfcorehdr=0x";
const KERNELS_WORD_LEN: usize = KERNELS_WORD.len() + 8;
/// The kernel dumps nothing of it.
const LOW_1M: u64 = 1 << 20;
/// How far from the crash region's ends an image is asked to stay.
const MARGIN: u64 = 32 << 20;
/// Bytes compared at a time where the kernel has made the image, and how many such pieces may
/// differ: see `expect_kernels_image`.
const PIECE: usize = 4096;
const PIECES: usize = 3;

/// Where in the boot parameters the two may differ, and why: offsets, the field, the reason.
/// docs/kexec-compared.md has them as well.
const EXPLAINED: &[(Range<usize>, &str, &str)] = &[
    (
        0x020..0x024,
        "screen_info: cl_magic, cl_offset",
        "the command line for protocols before 2.02; only kexec-tools writes it",
    ),
    (0x1d0..0x1d4, "efi_info: efi_memmap", "where the runtime map lies"),
    (
        0x1e8..0x1e9,
        "e820_entries",
        "with --hotplug kexec-tools leaves a sliver of RAM between elfcorehdr and backup",
    ),
    (0x1ec..0x1ed, "secure_boot", "the running kernel's; kexec-tools leaves it unset"),
    (0x1f2..0x1f4, "root_flags", "the file's; kexec-tools asks for a read-only root"),
    (0x1fc..0x1fe, "root_dev", "the file's; kexec-tools names /dev/hda"),
    (
        0x1ff..0x200,
        "boot_flag",
        "the file's; kexec-tools clears its second byte, as `aux_device_info`",
    ),
    (0x218..0x21c, "ramdisk_image", "where the initrd lies"),
    (0x228..0x22c, "cmd_line_ptr", "where the command line lies"),
    (0x250..0x258, "setup_data", "where the list begins"),
];

/// The same where kexec-tools hands on the whole machine's memory map.
const EXPLAINED_BY_MAP: &[(Range<usize>, &str, &str)] = &[
    (
        0x002..0x004,
        "screen_info: ext_mem_k",
        "how much memory is above 1 MiB in that map; with --pass-memmap-cmdline alone",
    ),
    (0x1e0..0x1e4, "alt_mem_k", "the same, for more memory"),
];

table! {
    "peer-image", [Makedumpfile, Kexec, Ovmf, CrashHotplug, KexecFile], compare,
        "for every option, kexec-tools and kdump-loader as `kexec` make the same image, except \
         for differences that are explained";
}

fn compare(stage: &mut Stage<'_>) -> Result<(), Error> {
    stage.deadline = Deadline::after(LIMIT);
    let peer = stage.context.kexec()?.program.clone();
    let mut first = stage.boot(&Setup { peer: true, efi: true, ..Setup::default() })?;
    first.vm.run_ok(&format!("ln -s {} {OURS}", guest::LOADER))?;
    let region = first.crash_region()?;
    let (low, high) = (region.start + MARGIN, region.end - MARGIN - 1);
    for call in CALLS {
        let arguments =
            [("{line}", CAPTURE_APPEND), ("{kernel}", guest::KERNEL), ("{initrd}", guest::INITRD)]
                .iter()
                .fold(call.arguments.to_owned(), |arguments, (name, value)| {
                    arguments.replace(name, value)
                });
        let arguments = arguments
            .replace("{low}", &format!("{low:#x}"))
            .replace("{high}", &format!("{high:#x}"));
        let pair = Pair { call, arguments, peer: &peer, region: &region };
        pair.compare(&mut first)?;
        first.note(format!(
            "{}: {} ({})",
            call.option,
            call.outcome.word(),
            if call.note.is_empty() { &pair.arguments } else { call.note }
        ));
    }
    first.switch_off();
    Ok(())
}

/// How the peer tells the capture kernel which memory it has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Map {
    Table,
    Words,
}

/// A call, to be given to both.
struct Pair<'a> {
    call: &'a Call,
    arguments: String,
    peer: &'a str,
    region: &'a Range<u64>,
}

impl Pair<'_> {
    fn what(&self, part: &str) -> String {
        format!("{part} with {}", self.arguments)
    }

    fn compare(&self, first: &mut First<'_, '_>) -> Result<(), Error> {
        match self.call.outcome {
            Outcome::Same => self.expect_same_image(first, Map::Table, None),
            Outcome::MapInWords => self.expect_same_image(first, Map::Words, Some("memmap=")),
            Outcome::FilteredLine => self.expect_same_image(first, Map::Table, Some("initrd=")),
            Outcome::KernelsImage => self.expect_kernels_image(first),
            Outcome::AnotherCall => {
                let said = self.armed_by(first, self.peer)?;
                // Of an image of its own it tells where everything is.
                check!(
                    !said.contains(PEERS_KERNEL),
                    "{}: expected the kernel's, found {said}",
                    self.what("the peer's image")
                )?;
                self.armed_by(first, OURS)?;
                first.image().map(drop)
            }
            Outcome::AnotherEntry => {
                let said = self.armed_by(first, self.peer)?;
                check!(
                    said.contains(PEERS_32BIT),
                    "{}: expected {}, found {said}",
                    self.what("the peer's image"),
                    PEERS_32BIT
                )?;
                self.armed_by(first, OURS)?;
                first.image().map(drop)
            }
            Outcome::RefusedHere => {
                self.armed_by(first, self.peer)?;
                self.refused_by(first, OURS)
            }
            Outcome::RefusedByBoth => {
                self.refused_by(first, self.peer)?;
                self.refused_by(first, OURS)
            }
            Outcome::Answer => self.expect_same_answer(first),
        }
    }

    /// Runs the call when nothing is armed; what it said.
    fn armed_by(&self, first: &mut First<'_, '_>, program: &str) -> Result<String, Error> {
        first.vm.run_ok(&format!("{OURS} -p -u"))?;
        let said = first.vm.run_ok(&format!("{program} -d {} 2>&1", self.arguments))?;
        check_eq!(
            first.crash_loaded()?,
            true,
            "{}",
            self.what(&format!("kexec_crash_loaded by {program}"))
        )?;
        Ok(said)
    }

    fn refused_by(&self, first: &mut First<'_, '_>, program: &str) -> Result<(), Error> {
        first.vm.run_ok(&format!("{OURS} -p -u"))?;
        let Output { status, text } =
            first.vm.run(&format!("{program} {} 2>&1", self.arguments))?;
        check!(
            status != 0,
            "{}: expected an error, found {text}",
            self.what(&format!("exit status of {program}"))
        )?;
        check_eq!(
            first.crash_loaded()?,
            false,
            "{}",
            self.what(&format!("kexec_crash_loaded by {program}"))
        )
    }

    /// What arms nothing: exit status, and a number where one is printed, when an image is armed
    /// and when none is.
    fn expect_same_answer(&self, first: &mut First<'_, '_>) -> Result<(), Error> {
        for armed in [true, false] {
            let mut answers = Vec::new();
            for program in [self.peer, OURS] {
                let before = if armed {
                    format!("-p -c --command-line='{CAPTURE_APPEND}' {}", guest::KERNEL)
                } else {
                    "-p -u".into()
                };
                first.vm.run_ok(&format!("{OURS} {before} 2>/dev/null"))?;
                let Output { status, text } =
                    first.vm.run(&format!("{program} {}", self.arguments))?;
                let number = text.trim().parse::<u64>().ok();
                answers.push(format!("{status}, {number:?}, {}", first.crash_loaded()?));
            }
            check_eq!(
                answers[1],
                answers[0],
                "{}",
                self.what("exit status, number printed and kexec_crash_loaded")
            )?;
        }
        Ok(())
    }

    /// Both let the kernel make the image, so both must have asked for the same: it differs in the
    /// seed for the capture kernel's random numbers, in the digest over it, and where the kernel
    /// keeps what is not of the image.
    fn expect_kernels_image(&self, first: &mut First<'_, '_>) -> Result<(), Error> {
        let read = |first: &First<'_, '_>| {
            first.vm.ram.read(self.region.start, (self.region.end - self.region.start) as usize)
        };
        self.armed_by(first, self.peer)?;
        let theirs = read(first)?;
        self.armed_by(first, OURS)?;
        let ours = read(first)?;
        // The kernel puts its own word in front (`setup_cmdline`,
        // arch/x86/kernel/kexec-bzimage64.c); nothing else here has it so.
        let line = format!(" {CAPTURE_APPEND}\0");
        let line_of = |memory: &[u8]| {
            let ends = memchr::memmem::find_iter(memory, &line).map(|at| at + line.len());
            let lines = ends.map(|end| end.saturating_sub(KERNELS_WORD_LEN + line.len())..end);
            lines.filter(|line| memory[line.clone()].starts_with(KERNELS_WORD)).collect::<Vec<_>>()
        };
        let lines = line_of(&theirs);
        check!(
            lines.len() == 1,
            "{}: expected one in the crash region, found {lines:x?}",
            self.what("the peer's command line")
        )?;
        check!(
            line_of(&ours) == lines,
            "{}: expected {lines:x?}, found {:x?}",
            self.what("command line"),
            line_of(&ours)
        )?;
        let differ = ours
            .chunks(PIECE)
            .zip(theirs.chunks(PIECE))
            .filter(|(ours, theirs)| ours != theirs)
            .count();
        first.stage.outcome.fact("pages that differ where the kernel has made the image", differ);
        check!(
            differ <= PIECES,
            "{}: expected {PIECES} at most, found {differ}",
            self.what("pages of the crash region that differ")
        )
    }

    /// Both make it themselves. The peer's command line has words that begin with `peers_words`
    /// besides.
    fn expect_same_image(
        &self,
        first: &mut First<'_, '_>,
        peers_map: Map,
        peers_words: Option<&str>,
    ) -> Result<(), Error> {
        let said = self.armed_by(first, self.peer)?;
        let params = address(&said, PEERS_PARAMS)?;
        let mut theirs = Handed::read(first, params, address(&said, PEERS_KERNEL)?)?;
        if let Some(words) = peers_words {
            theirs.drop_words(words, &self.what("the peer's command line"))?;
        }
        self.armed_by(first, OURS)?;
        // Only the segments are of interest. Most of these images save no dump, so `status` may
        // exit with 1.
        let status = first.vm.run(&format!("{} status --json 2>/dev/null", guest::LOADER))?.text;
        let ours = Handed::read(
            first,
            segment(&status, "boot-params")?.start,
            segment(&status, "kernel")?.start,
        )?;
        let elfcorehdr = segment(&status, "elfcorehdr")?;
        self.expect_same(&ours, &theirs, peers_map)?;
        if peers_map == Map::Table {
            self.expect_same_map(&ours, elfcorehdr, &theirs)
        } else {
            Ok(())
        }
    }

    fn expect_same(&self, ours: &Handed, theirs: &Handed, peers_map: Map) -> Result<(), Error> {
        let what = |part: &str| self.what(part);
        check_eq!(ours.words(), theirs.words(), "{}", what("command line"))?;
        check!(
            ours.line.contains("acpi_rsdp=") == self.call.arguments.contains("--noefi"),
            "{}: expected with --noefi, found {}",
            what("acpi_rsdp="),
            ours.line
        )?;
        check!(
            ours.initrd == theirs.initrd,
            "{}: expected the same bytes, found others",
            what("initrd")
        )?;
        check!(
            ours.kernel == theirs.kernel,
            "{}: expected the same bytes, found others",
            what("kernel")
        )?;
        let dumped: Vec<_> =
            theirs.dumped.iter().filter(|range| range.end > LOW_1M).cloned().collect();
        check!(
            ours.dumped == dumped,
            "{}: expected {dumped:x?}, found {:x?}",
            what("memory to be dumped"),
            ours.dumped
        )?;
        let by_map = if peers_map == Map::Words { EXPLAINED_BY_MAP } else { &[] };
        let explained = EXPLAINED.iter().chain(by_map);
        let differ = (0..E820_TABLE).filter(|&at| ours.params[at] != theirs.params[at]);
        let unexplained: Vec<_> =
            differ.filter(|at| !explained.clone().any(|(range, ..)| range.contains(at))).collect();
        check!(
            unexplained.is_empty(),
            "{}: expected the same but for what is explained, found {unexplained:#x?}",
            what("boot parameters")
        )
    }

    /// The crash region is memory but for the elfcorehdr, and everything else as the firmware has
    /// told it.
    fn expect_same_map(
        &self,
        ours: &Handed,
        elfcorehdr: Range<u64>,
        theirs: &Handed,
    ) -> Result<(), Error> {
        let region = self.region;
        let what = |part: &str| self.what(part);
        let (here, there) = (ours.outside(region), theirs.outside(region));
        check!(
            here == there,
            "{}: expected {there:x?}, found {here:x?}",
            what("memory map outside of the crash region")
        )?;
        // Ours is at the region's start, or where it was asked to; the peer's at the end, with the
        // copy of low memory after it.
        let mut all = ours.inside(region);
        all.push(elfcorehdr);
        check!(
            merged(&all) == [region.clone()],
            "{}: expected {region:x?}, found {all:x?}",
            what("memory map of the crash region")
        )?;
        let mut all = theirs.inside(region);
        all.push(theirs.elfcorehdr..region.end);
        check!(
            merged(&all) == [region.clone()],
            "{}: expected {region:x?}, found {all:x?}",
            what("the peer's map of it")
        )
    }
}

/// A segment of the armed image, by name.
fn segment(status: &str, name: &str) -> Result<Range<u64>, Error> {
    let unintelligible = || Error::unreadable("segments in what `status` printed", &status);
    let status: serde_json::Value = serde_json::from_str(status).map_err(|_| unintelligible())?;
    let segments = status["record"]["image"]["segments"].as_array().ok_or_else(unintelligible)?;
    let segment =
        segments.iter().find(|segment| segment["name"] == name).ok_or_else(unintelligible)?;
    let (start, len) =
        segment["start"].as_u64().zip(segment["len"].as_u64()).ok_or_else(unintelligible)?;
    Ok(start..start + len)
}

/// The address that kexec-tools' debug output prints after these words.
fn address(said: &str, words: &str) -> Result<u64, Error> {
    let rest = said.split(words).nth(1).and_then(|rest| rest.split_whitespace().next());
    let digits = rest.and_then(|rest| rest.strip_prefix("0x"));
    let address = digits.and_then(|digits| {
        u64::from_str_radix(digits.trim_end_matches(|c: char| !c.is_ascii_hexdigit()), 16).ok()
    });
    address
        .ok_or_else(|| Error::unreadable("kexec-tools' debug output", format!("{words} in {said}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_explained_difference_is_in_the_docs() {
        let page = include_str!("../../../../docs/kexec-compared.md");
        for (range, field, reason) in EXPLAINED.iter().chain(EXPLAINED_BY_MAP) {
            let row = format!("| {:#05x} | {field} | {reason} |", range.start);
            assert!(page.contains(&row), "docs/kexec-compared.md lacks: {row}");
        }
    }
}
