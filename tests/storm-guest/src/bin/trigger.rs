//! Runs in a guest: waits for an event, then for a drawn time, notes the kernel's memory map, the
//! loads that its probes counted, and whether an image is armed, and panics it. The note's memory
//! is allocated before anything is plugged in, so it is in memory that stays.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;

use storm_guest::note::{self, PAGE, TEXT_LEN};

/// Pages for the note: /proc/iomem of these guests has 3 KiB.
const PAGES: usize = 8;
/// Time between two looks for the event.
const EVENT_POLL: Duration = Duration::from_micros(100);
/// The last part of the time is spent awake, because a sleep ends late.
const AWAKE: Duration = Duration::from_millis(2);

/// Panic the kernel at a drawn time after an event.
#[derive(Parser)]
struct Options {
    /// Marks the note.
    #[arg(long)]
    seed: u64,
    /// The event: this path appears.
    #[arg(long)]
    event: PathBuf,
    /// Microseconds from the event to the panic.
    #[arg(long)]
    delay_us: u64,
}

fn main() -> Result<()> {
    let options = Options::parse();
    // One page more, because the allocation may not start at a page boundary. Written to, so that
    // it is mapped.
    let mut memory = vec![0xff_u8; (PAGES + 1) * PAGE];
    let start = memory.as_ptr().addr().next_multiple_of(PAGE) - memory.as_ptr().addr();
    let mut text = vec![0xff_u8; PAGES * TEXT_LEN];
    let mut trigger = File::options()
        .write(true)
        .open("/proc/sysrq-trigger")
        .context("cannot open /proc/sysrq-trigger")?;
    let mut iomem = File::open("/proc/iomem").context("cannot open /proc/iomem")?;
    let mut loaded =
        File::open("/sys/kernel/kexec_crash_loaded").context("cannot open kexec_crash_loaded")?;
    let mut profile =
        File::open("/sys/kernel/tracing/kprobe_profile").context("cannot open kprobe_profile")?;
    println!("ready");

    while !options.event.exists() {
        thread::sleep(EVENT_POLL);
    }
    let when = Instant::now() + Duration::from_micros(options.delay_us);
    thread::sleep(when.saturating_duration_since(Instant::now()).saturating_sub(AWAKE));
    while Instant::now() < when {
        std::hint::spin_loop();
    }

    let mut len = 0;
    append(&mut iomem, &mut text, &mut len).context("cannot read /proc/iomem")?;
    append(&mut &b"profile\n"[..], &mut text, &mut len)?;
    append(&mut profile, &mut text, &mut len).context("cannot read kprobe_profile")?;
    // Last: an image may come or go between this and the panic, so that time must be short.
    append(&mut &b"loaded "[..], &mut text, &mut len)?;
    append(&mut loaded, &mut text, &mut len).context("cannot read kexec_crash_loaded")?;
    let mut rest = &text[..len];
    for (index, page) in memory[start..].chunks_exact_mut(PAGE).enumerate() {
        let taken = note::write(page, options.seed, index as u32, rest);
        rest = &rest[taken..];
        if taken < TEXT_LEN {
            break;
        }
    }
    trigger.write_all(b"c").context("the kernel lives on")
}

/// Reads all of `from` into `text`, from `len` on.
fn append(from: &mut impl Read, text: &mut [u8], len: &mut usize) -> std::io::Result<()> {
    loop {
        match from.read(&mut text[*len..])? {
            0 => return Ok(()),
            count => *len += count,
        }
    }
}
