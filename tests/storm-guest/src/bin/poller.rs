//! Runs in the kernel that may crash: reads /sys/kernel/kexec_crash_loaded as often as it can until it is told to stop, and prints what it
//! has seen as JSON, its own longest pause included.

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

/// How often the other thread looks whether it is time to stop.
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
    let file = File::open(&options.file).with_context(|| format!("cannot open {}", options.file.display()))?;
    let stop = AtomicBool::new(false);
    let record = thread::scope(|scope| {
        scope.spawn(|| {
            // Also when the polling has failed, or the thread would be waited for.
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

/// Without a pause: sleeping, even for no time, brings it below 10 kHz. How often it is depends on the CPU, and stands in the record.
fn poll(file: &File, path: &Path, stop: &AtomicBool) -> Result<Record> {
    let began = Instant::now();
    let mut watch = Watch::default();
    while !stop.load(Ordering::Relaxed) {
        let mut byte = [0];
        // From the start of a sysfs file: the kernel asks itself anew.
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
