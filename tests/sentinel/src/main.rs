//! Runs in the kernel that is going to crash: takes pages until one lies in the wanted physical
//! range, fills it with the pattern of the seed, prints its physical address and then holds still,
//! so that the page is there when the kernel dies.

#![forbid(unsafe_code)]

mod pagemap;

use anyhow::{Result, bail};
use clap::Parser;

use pagemap::Pagemap;
use sentinel::{PAGE_SIZE, pattern};

/// Put a page with a known pattern at a physical address in a range, print the address, and keep it
/// there.
#[derive(Parser)]
struct Options {
    /// Which pattern.
    #[arg(long)]
    seed: u64,
    /// Lowest physical address.
    #[arg(long, value_parser = number, default_value = "0")]
    from: u64,
    /// One past the highest physical address.
    #[arg(long, value_parser = number, default_value = "0xffffffffffffffff")]
    to: u64,
    /// Give up after this many MiB.
    #[arg(long, default_value_t = 256)]
    limit: usize,
}

/// A decimal number, or a hexadecimal one behind 0x.
fn number(text: &str) -> Result<u64, std::num::ParseIntError> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    }
}

fn main() -> Result<()> {
    let options = Options::parse();
    let pagemap = Pagemap::open()?;
    let wanted = options.from..options.to;
    // Pages that lie elsewhere stay taken, or the kernel would hand out the same ones again.
    let mut held = Vec::new();
    for _ in 0..options.limit {
        // One page more than a MiB, since the allocation need not start at a page boundary.
        let mut chunk = vec![0_u8; (1 << 20) + PAGE_SIZE];
        let misaligned = chunk.as_ptr().addr() % PAGE_SIZE;
        let start = (PAGE_SIZE - misaligned) % PAGE_SIZE;
        for page in chunk[start..].chunks_exact_mut(PAGE_SIZE) {
            page.copy_from_slice(&pattern(options.seed));
            let address = pagemap.physical(page)?;
            if wanted.contains(&address) {
                println!("{address:#x}");
                loop {
                    std::thread::park();
                }
            }
            // Only the page that is reported may carry the pattern.
            page.fill(!0);
        }
        held.push(chunk);
    }
    bail!("none of {} MiB of pages lies in {:#x}-{:#x}", held.len(), wanted.start, wanted.end)
}
