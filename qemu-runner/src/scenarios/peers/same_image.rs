//! `peer-image`: every option, given to kexec-tools and to the loader as `kexec` on the same
//! machine.
//!
//! Both images are compared in the crash region, byte by byte. docs/kexec-compared.md lists the
//! results.

mod calls; // what is given to both
mod handed; // what is in memory then
mod explained; // in what both may differ

use std::ops::Range;
use std::time::Duration;

use serde_json::Value;

use crate::error::{Error, check, check_eq, expect_words};
use crate::evidence::iomem::merged;
use crate::machine::agent::Output;
use crate::machine::deadline::Deadline;
use crate::scenario::table;
use crate::stage::{CAPTURE_APPEND, First, Setup, Stage, guest, json};
use calls::{CALLS, Call, Outcome};
use explained::{EXPLAINED, EXPLAINED_BY_MAP};
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

table! {
    "peer-image", [Makedumpfile, Kexec, Ovmf, CrashHotplug, KexecFile],
        compare,
        "for every option, kexec-tools and kdump-loader as `kexec` make the same image, except \
         for differences that are explained",
        lab: NotOurs("a comparison with kexec-tools");
}

fn compare(stage: &mut Stage<'_>) -> Result<(), Error> {
    stage.deadline = Deadline::after(LIMIT);
    let peer = stage.context.kexec()?.program.clone();
    let mut first = stage.boot(&Setup { peer: true, efi: true, ..Setup::default() })?;
    first.vm.run_ok(&format!("ln -s {} {OURS}", guest::LOADER))?;
    // Without it, an image has no black box, which the peer does not know.
    first.vm.run_ok("rmdir /var/lib")?;
    let region = first.crash_region()?;
    let (low, high) = (region.start + MARGIN, region.end - MARGIN - 1);
    let (low, high) = (format!("{low:#x}"), format!("{high:#x}"));
    for call in CALLS {
        let arguments = call
            .arguments
            .replace("{line}", CAPTURE_APPEND)
            .replace("{kernel}", guest::KERNEL)
            .replace("{initrd}", guest::INITRD)
            .replace("{low}", &low)
            .replace("{high}", &high);
        let pair = Pair { call, arguments, peer: &peer, region: &region };
        pair.compare(&mut first).map_err(|error| match error {
            Error::Failed(why) => Error::Failed(format!("with {}: {why}", pair.arguments)),
            other => other,
        })?;
        let note = if call.note.is_empty() { &pair.arguments } else { call.note };
        first.note(format!("{}: {} ({note})", call.option, call.outcome.word()));
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
    fn compare(&self, first: &mut First<'_, '_>) -> Result<(), Error> {
        match self.call.outcome {
            Outcome::Same => self.expect_same_image(first, Map::Table, None),
            Outcome::MapInWords => self.expect_same_image(first, Map::Words, Some("memmap=")),
            Outcome::FilteredLine => self.expect_same_image(first, Map::Table, Some("initrd=")),
            Outcome::KernelsImage => self.expect_kernels_image(first),
            Outcome::AnotherCall => {
                let said = self.armed_by(first, self.peer)?;
                // Of an image of its own it tells where everything is.
                let own = said.contains(PEERS_KERNEL);
                check!(!own, "the peer's image: expected the kernel's, found {said}")?;
                self.armed_by(first, OURS)?;
                first.image().map(drop)
            }
            Outcome::AnotherEntry => {
                let said = self.armed_by(first, self.peer)?;
                expect_words("the peer's image", &said, &[PEERS_32BIT])?;
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
        let said = first.vm.run_ok(&format!("{program} -d {}", self.arguments))?;
        first.expect_armed(true, &format!("by {program}"))?;
        Ok(said)
    }

    fn refused_by(&self, first: &mut First<'_, '_>, program: &str) -> Result<(), Error> {
        first.vm.run_ok(&format!("{OURS} -p -u"))?;
        let said = first.vm.run(&format!("{program} {}", self.arguments))?;
        check!(said.status != 0, "{program}: expected an error, found {said:?}")?;
        first.expect_armed(false, &format!("by {program}"))
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
            check_eq!(answers[1], answers[0], "status, number and kexec_crash_loaded")?;
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
        check!(lines.len() == 1, "command lines in the peer's crash region: {lines:x?}")?;
        check_eq!(line_of(&ours), lines, "where the command line is")?;
        let pieces = ours.chunks(PIECE).zip(theirs.chunks(PIECE));
        let differ = pieces.filter(|(ours, theirs)| ours != theirs).count();
        first.stage.outcome.fact("pages that differ where the kernel has made the image", differ);
        check!(differ <= PIECES, "pages that differ: expected {PIECES} at most, found {differ}")
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
            theirs.drop_words(words)?;
        }
        self.armed_by(first, OURS)?;
        // Only the segments are of interest. Most of these images save no dump, so `status` may
        // exit with 1.
        let status = first.vm.run(&format!("{} status --json 2>/dev/null", guest::LOADER))?.text;
        let at = |name| segment(&status, name).map(|segment| segment.start);
        let ours = Handed::read(first, at("boot-params")?, at("kernel")?)?;
        self.expect_same(&ours, &theirs, peers_map)?;
        if peers_map == Map::Words {
            return Ok(());
        }
        self.expect_same_map(&ours, segment(&status, "elfcorehdr")?, &theirs)
    }

    fn expect_same(&self, ours: &Handed, theirs: &Handed, peers_map: Map) -> Result<(), Error> {
        check_eq!(ours.words(), theirs.words(), "command line")?;
        let noefi = self.call.arguments.contains("--noefi");
        check_eq!(ours.line.contains("acpi_rsdp="), noefi, "acpi_rsdp= with --noefi")?;
        check!(ours.initrd == theirs.initrd, "initrd: expected the same bytes")?;
        check!(ours.kernel == theirs.kernel, "kernel: expected the same bytes")?;
        let mut dumped = theirs.dumped.clone();
        dumped.retain(|range| range.end > LOW_1M);
        let found = &ours.dumped;
        check!(*found == dumped, "memory to be dumped: expected {dumped:x?}, found {found:x?}")?;
        let by_map = if peers_map == Map::Words { EXPLAINED_BY_MAP } else { &[] };
        let explained =
            |at: &usize| EXPLAINED.iter().chain(by_map).any(|(range, ..)| range.contains(at));
        let differ = (0..E820_TABLE).filter(|&at| ours.params[at] != theirs.params[at]);
        let unexplained: Vec<_> = differ.filter(|at| !explained(at)).collect();
        check!(unexplained.is_empty(), "boot parameters differ unexplained at {unexplained:x?}")
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
        let (here, there) = (ours.outside(region), theirs.outside(region));
        check!(
            here == there,
            "memory map outside of the crash region: expected {there:x?}, found {here:x?}"
        )?;
        // Ours is at the region's start, or where it was asked to; the peer's at the end, with the
        // copy of low memory after it.
        for (whose, handed, elfcorehdr) in
            [("our", ours, elfcorehdr), ("the peer's", theirs, theirs.elfcorehdr..region.end)]
        {
            let all = merged(&[handed.inside(region), vec![elfcorehdr]].concat());
            check!(
                all == [region.clone()],
                "{whose} map of the crash region: expected {region:x?}, found {all:x?}"
            )?;
        }
        Ok(())
    }
}

/// A segment of the armed image, by name.
fn segment(status: &str, name: &str) -> Result<Range<u64>, Error> {
    let status: Value = json(status)?;
    let mut segments = status["record"]["image"]["segments"].as_array().into_iter().flatten();
    let segment = segments.find(|segment| segment["name"] == name);
    let range = segment.and_then(|segment| {
        let start = segment["start"].as_u64()?;
        Some(start..start + segment["len"].as_u64()?)
    });
    range.ok_or_else(|| Error::unreadable("the segments in `status`", &status))
}

/// The address that kexec-tools' debug output prints after these words.
fn address(said: &str, words: &str) -> Result<u64, Error> {
    let digits = said.split_once(words).and_then(|(_, rest)| rest.strip_prefix("0x"));
    let digits = digits.and_then(|digits| digits.split(|c: char| !c.is_ascii_hexdigit()).next());
    digits
        .and_then(|digits| u64::from_str_radix(digits, 16).ok())
        .ok_or_else(|| Error::unreadable("kexec-tools' debug output", format!("{words} in {said}")))
}
