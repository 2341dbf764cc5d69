//! `cargo xtask audit`: what must hold of the purgatory's executable, whatever the compiler and the linker made of its source.
//!
//! On entry: `target/dist/purgatory.elf`, with its symbols.
//! On exit: a table of sizes; or every violation, each with its place. Nothing is taken from the linker script: the file is
//! looked at as the loader and the CPU will see it.

mod image; // what is loaded, and where: sections, segments, relocations, symbols
mod instructions; // what the CPU will be asked to do
mod stack; // how deep the stacks can get

use anyhow::{Context, Result, bail};
use xshell::Shell;

use crate::build;
use crate::repository::Repository;
pub use image::{MAX_FILE, MAX_LOADED};

/// Check what must hold of target/dist/purgatory.elf, and print its sizes
///
/// No relocation and nothing undefined; two segments, the first not starting like an ELF file; the handoff block's place as large
/// as the block; no initialised data; at most 40 KiB loaded; only integer instructions where SSE may be off; CPUID, port I/O,
/// HLT and MSR access only in the functions that ask the block for permission; no chain of calls deeper than its stack.
#[derive(clap::Args)]
pub struct Args {}

impl Args {
    /// Builds and audits.
    pub fn run(&self, sh: &Shell, repo: &Repository) -> Result<()> {
        build::purgatory(sh, repo)?;
        audit(repo).map(drop)
    }
}

/// What was measured.
pub struct Measured {
    /// Bytes of memory that the purgatory occupies without the leaf table.
    pub loaded: u64,
}

/// Audits what was built.
pub fn audit(repo: &Repository) -> Result<Measured> {
    let file = repo.purgatory_debug();
    let bytes = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let image = image::Image::parse(&bytes).with_context(|| format!("cannot read {} as ELF", file.display()))?;
    let mut faults = image.faults();
    faults.extend(instructions::faults(&image.code));
    let (depths, too_deep) = stack::depths(&image.code, image.stacks());
    faults.extend(too_deep);
    for (name, bytes) in image.sizes() {
        println!("{name:<24} {bytes:>6} bytes");
    }
    println!("{:<24} {:>6} bytes of {} allowed", "loaded", image.loaded_size(), MAX_LOADED);
    let shipped = repo.purgatory_elf();
    let len = std::fs::metadata(&shipped).with_context(|| format!("cannot look at {}", shipped.display()))?.len();
    println!("{:<24} {len:>6} bytes of {MAX_FILE} allowed", "file");
    if len > MAX_FILE {
        faults.push(format!("{} has {len} bytes, {MAX_FILE} are allowed", shipped.display()));
    }
    for stack::Depth { stack, bytes, room } in depths {
        println!("{stack:<24} {bytes:>6} bytes of {room}, at worst");
    }
    if faults.is_empty() {
        println!("audit: {} is as it must be", file.display());
        return Ok(Measured { loaded: image.loaded_size() });
    }
    bail!("{} is not as it must be:\n  {}", file.display(), faults.join("\n  "))
}
