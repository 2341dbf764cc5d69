//! Filters a core file:
//! `cargo run --release -p vmcore-filter --example filter -- CORE DUMP [LEVEL]`.
//!
//! Without DUMP, the dump is measured and thrown away.

use std::error::Error;
use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use vmcore_filter::{DumpFile, Level, Output, Summary, Vmcore, dump};

const USAGE: &str = "usage: filter CORE (DUMP | --discard) [0 | 1 | 17]";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (core, output, level) = match &arguments[..] {
        [core, output] => (core, output, "17"),
        [core, output, level] => (core, output, level.as_str()),
        _ => return Err(USAGE.into()),
    };
    let level = level.parse().ok().and_then(Level::from_number).ok_or(USAGE)?;
    let core = Vmcore::open(Path::new(core))?;
    let began = Instant::now();
    let is_discarded = output == "--discard";
    let summary = if is_discarded {
        save(&core, level, &mut Discard::default())?
    } else {
        let mut file =
            File::options().read(true).write(true).create(true).truncate(true).open(output)?;
        let summary = save(&core, level, &mut file)?;
        file.set_len(summary.bytes)?;
        summary
    };
    print(&summary, began);
    if !is_discarded {
        let checked = DumpFile::open(File::open(output)?, 0)?.check()?;
        println!("read back: {checked:?}");
    }
    Ok(())
}

fn save(core: &Vmcore, level: Level, output: &mut dyn Output) -> io::Result<Summary> {
    let mut percent = 0;
    let summary = dump(core, level, output, &mut |progress| {
        let now = progress.pages * 100 / progress.of.max(1);
        if now >= percent + 5 {
            percent = now;
            eprintln!("{now} %, {} MiB written", progress.bytes >> 20);
        }
        ControlFlow::Continue(())
    });
    summary.map_err(io::Error::other)
}

fn print(summary: &Summary, began: Instant) {
    let Summary { pages, left_out, zeroes, saved, unreadable, bytes, unfiltered } = summary;
    let seconds = began.elapsed().as_secs_f64();
    println!("{pages} pages: {left_out:?}, {zeroes} zero, {saved} saved, {unreadable} unreadable");
    println!("{bytes} bytes in {seconds:.2} s");
    if let Some(reason) = unfiltered {
        println!("free pages were kept: {reason}");
    }
}

/// Keeps headers and bitmaps, which are read back. They are written before the first `sync`. What
/// comes later is forgotten.
#[derive(Default)]
struct Discard {
    start: Vec<u8>,
    is_synced: bool,
}

impl Output for Discard {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if self.is_synced { Ok(()) } else { self.start.write_at(offset, bytes) }
    }

    fn read_at(&mut self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.start.read_at(offset, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.is_synced = true;
        Ok(())
    }
}
