//! Fixtures: files that a real kernel wrote, taken out of a running machine.

use std::fs;
use std::path::{Component, Path};

use crate::context::Context;
use crate::error::{Error, check};
use crate::evidence::elfcore::ElfCore;
use crate::evidence::outcome::Outcome;
use crate::host;
use crate::machine::deadline::Deadline;
use crate::scenario::LIMIT;
use crate::stage::{First, Setup, Stage, guest};

/// What the run is called, and its directory.
const NAME: &str = "fixture-elfcorehdr";
/// The directory of the machine's description, as `kdump-loader snapshot` writes it.
pub const SNAPSHOT: &str = "snapshot";
/// The elfcorehdr that the kernel wrote.
pub const ELFCOREHDR: &str = "elfcorehdr.bin";
/// The kernel's release.
pub const RELEASE: &str = "release";

/// `Elf64_Ehdr` and `Elf64_Phdr` (elf.h).
const EHDR_LEN: usize = 64;
const PHDR_LEN: usize = 56;
/// The kernel writes whole pages, padded with zeroes (ELF_CORE_HEADER_ALIGN,
/// include/linux/crash_core.h).
const PADDED_TO: usize = 4096;

/// Lets a kernel write its own elfcorehdr, and puts it into `into`, with a snapshot of the machine
/// that it describes.
///
/// One of two spare CPUs is plugged in, which makes the kernel write its own header for the first
/// time, and then a DIMM. The CPU that stays away is one that the kernel names and the snapshot
/// does not.
pub fn elfcorehdr(context: &Context, into: &Path) -> Result<Outcome, Error> {
    Stage::play(context, NAME, Deadline::after(LIMIT), &[], |stage| take(stage, into))
        .map(|((), outcome)| outcome)
}

fn take(stage: &mut Stage<'_>, into: &Path) -> Result<(), Error> {
    let mut first =
        stage.boot(&Setup { dimms: 1, spare_cpus: 2, makedumpfile: false, ..Setup::default() })?;
    let image = first.arm("")?.image;
    let at_load = first.elfcorehdr(&image)?;
    first.add_cpu()?;
    first.add_dimm(0)?;
    let written = first.elfcorehdr(&image)?;
    check!(written.loads.len() > at_load.loads.len(), "a DIMM was added, but no PT_LOAD")?;
    first.vm.run_ok(&format!("{} snapshot /tmp/{SNAPSHOT}", guest::LOADER))?;
    check!(first.elfcorehdr(&image)? == written, "the snapshot has changed the elfcorehdr")?;

    let len = (EHDR_LEN + PHDR_LEN * (written.loads.len() + written.note_headers))
        .next_multiple_of(PADDED_TO);
    let bytes = first.vm.ram.read(image.elfcorehdr.start, len)?;
    check!(ElfCore::parse(&bytes)? == written, "the program headers are not in what was read")?;
    let files = snapshot(&mut first)?;
    let release = first.vm.run_ok("uname -r")?;

    if into.exists() {
        fs::remove_dir_all(into).map_err(Error::file("remove", into))?;
    }
    for (path, bytes) in &files {
        host::write(&into.join(SNAPSHOT).join(path), bytes)?;
    }
    host::write(&into.join(ELFCOREHDR), &bytes)?;
    host::write(&into.join(RELEASE), format!("{release}\n").as_bytes())?;
    let total: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
    first.note(format!(
        "{len} bytes of elfcorehdr and {} files of {total} bytes saved to {}",
        files.len(),
        into.display()
    ));
    first.switch_off();
    Ok(())
}

/// Every file of the snapshot, by its path in it.
fn snapshot(first: &mut First<'_, '_>) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let list = first.vm.run_ok(&format!("cd /tmp/{SNAPSHOT} && find * -type f"))?;
    let mut files = Vec::new();
    for path in list.lines().map(str::trim) {
        let is_inside =
            Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
        check!(is_inside, "the path of a file of the snapshot: expected one inside, found {path}")?;
        let bytes = first.vm.run_for_bytes(&format!("cat /tmp/{SNAPSHOT}/{path}"))?;
        files.push((path.to_owned(), bytes));
    }
    Ok(files)
}
