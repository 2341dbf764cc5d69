//! Runs in a guest: reads /sys/kernel/kexec_crash_loaded as often as possible until a file appears,
//! and prints the record as JSON, with its own longest pause.

#![forbid(unsafe_code)]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Parser;

use storm_guest::readings::{Record, Watch};

/// Time between two looks for the file that stops the poller.
const STOP_POLL: Duration = Duration::from_millis(50);

/// Read a file that holds 0 or 1 as often as possible, and print the times at which it held 0.
#[derive(Parser)]
struct Options {
    /// The file.
    #[arg(long, default_value = "/sys/kernel/kexec_crash_loaded")]
    file: PathBuf,
    /// Stop when this file is there.
    #[arg(long)]
    until: PathBuf,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let file = File::open(&options.file)
        .with_context(|| format!("cannot open {}", options.file.display()))?;
    let stop = AtomicBool::new(false);
    let record = thread::scope(|scope| {
        scope.spawn(|| {
            // Also ends if polling failed: the scope waits for this thread.
            while !stop.load(Ordering::Relaxed) && !options.until.exists() {
                thread::sleep(STOP_POLL);
            }
            stop.store(true, Ordering::Relaxed);
        });
        let record = poll(&file, &options.file, &stop);
        stop.store(true, Ordering::Relaxed);
        record
    })?;
    println!("{}", serde_json::to_string(&record)?);
    Ok(())
}

/// Never sleeps: even a sleep of no time reduces the rate below 10 kHz. The record has the rate.
fn poll(file: &File, path: &Path, stop: &AtomicBool) -> Result<Record> {
    let began = Instant::now();
    let mut watch = Watch::default();
    while !stop.load(Ordering::Relaxed) {
        let mut byte = [0];
        // A read from offset 0 of a sysfs file has the kernel produce its contents again.
        file.read_at(&mut byte, 0).with_context(|| format!("cannot read {}", path.display()))?;
        let at_ns = began.elapsed().as_nanos() as u64;
        match byte[0] {
            b'1' => watch.see(at_ns, true),
            b'0' => watch.see(at_ns, false),
            other => bail!("{} holds neither 0 nor 1 but {:?}", path.display(), char::from(other)),
        }
    }
    Ok(watch.finish())
}
