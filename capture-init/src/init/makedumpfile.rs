//! `[5a]` The dump by the makedumpfile of the initrd, if the task wants it.
//!
//! *On entry* the task's arguments. *On exit* the dump: makedumpfile writes a file itself. Into a
//! partition, where it cannot begin at an offset, its flattened output is written in order.

mod flattened; // a dump as a stream

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use capture_init::{Dump, Format, LIBRARIES_PATH, MAKEDUMPFILE_PATH};

use crate::output::Target;
use crate::step::{Done, Place, Trouble};

/// Where ld.so looks for libraries first (ld.so(8)).
const LIBRARIES: &str = "LD_LIBRARY_PATH";
/// Writes a stream to standard output (makedumpfile(8)).
const FLATTENED: &str = "-F";
/// Less free space than this means that the target is full.
const NEARLY_NOTHING: u64 = 1 << 20;

/// Runs it with `arguments`. Its messages go to the console.
pub fn save(arguments: &[String], vmcore: &Path, place: &Place) -> Result<Done, Trouble> {
    let mut command = Command::new(MAKEDUMPFILE_PATH);
    command.env(LIBRARIES, LIBRARIES_PATH);
    if place.is_partition {
        command.arg(FLATTENED);
    }
    command.args(arguments).arg(vmcore);
    let bytes = match place.is_partition {
        true => into_partition(command, place)?,
        false => into_file(command, place)?,
    };
    let dump = Dump { format: Format::Makedumpfile, bytes, pages: None };
    Ok(Done::Dump { dump, troubles: Vec::new() })
}

fn into_file(mut command: Command, place: &Place) -> Result<u64, Trouble> {
    command.arg(&place.path).stdin(Stdio::null());
    // Standard output is for this step's result.
    let status = command.stdout(io::stderr()).status().map_err(cannot_run)?;
    if !status.success() {
        let words = format!("makedumpfile failed: {status}");
        return Err(match is_full(&place.path) {
            true => Trouble::of_target(format_args!("{words}, and the target is full")),
            false => Trouble::of_step(words),
        });
    }
    let written = fs::File::open(&place.path).and_then(|file| {
        file.sync_all()?;
        file.metadata()
    });
    Ok(written.map_err(Trouble::target("the dump does not reach the disk"))?.len())
}

fn into_partition(mut command: Command, place: &Place) -> Result<u64, Trouble> {
    let mut target = Target::open(place).map_err(Trouble::target("cannot open the target"))?;
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(cannot_run)?;
    let stream = child.stdout.take().ok_or_else(|| Trouble::of_step("there is no pipe"))?;
    // Its end closes the pipe, which ends makedumpfile if it still writes.
    let written = flattened::rearrange(stream, &mut target);
    let status = child.wait().map_err(Trouble::of_step)?;
    let bytes = written.map_err(|error| match error {
        flattened::Error::Write { .. } => Trouble::of_target(error),
        _ if !status.success() => Trouble::of_step(format_args!("makedumpfile failed: {status}")),
        _ => Trouble::of_step(error),
    })?;
    if !status.success() {
        return Err(Trouble::of_step(format_args!("makedumpfile failed: {status}")));
    }
    target.finish(bytes).map_err(Trouble::target("the dump does not reach the disk"))?;
    Ok(bytes)
}

fn cannot_run(error: io::Error) -> Trouble {
    Trouble::of_step(format_args!("cannot run makedumpfile: {error}"))
}

fn is_full(path: &Path) -> bool {
    rustix::fs::statvfs(path)
        .is_ok_and(|space| space.f_bavail.saturating_mul(space.f_frsize) < NEARLY_NOTHING)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shell in place of makedumpfile.
    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script, "makedumpfile"]);
        command
    }

    fn place(dir: &tempfile::TempDir, is_partition: bool) -> Place {
        let path = dir.path().join("target");
        if is_partition {
            fs::write(&path, [0xee; 8192]).unwrap();
        }
        Place { path, offset: 4096, room: 4096, is_partition }
    }

    #[test]
    fn program_writes_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let place = place(&dir, false);
        assert_eq!(into_file(shell("printf dump > \"$1\""), &place), Ok(4));
        assert_eq!(fs::read(&place.path).unwrap(), b"dump");
    }

    #[test]
    fn program_writes_into_the_middle_of_a_partition() {
        let dir = tempfile::tempdir().unwrap();
        let place = place(&dir, true);
        // The header; 4 bytes at offset 2; the end.
        let script = "printf makedumpfile; head -c 4084 /dev/zero
            printf '\\0\\0\\0\\0\\0\\0\\0\\002\\0\\0\\0\\0\\0\\0\\0\\004dump'
            for i in 1 2 3 4; do printf '\\377\\377\\377\\377'; done";
        assert_eq!(into_partition(shell(script), &place), Ok(6));
        let bytes = fs::read(&place.path).unwrap();
        assert_eq!(&bytes[4094..4104], b"\xee\xee\xee\xeedump\xee\xee");
    }

    #[test]
    fn failure_of_the_program_leads_to_the_next_step() {
        let dir = tempfile::tempdir().unwrap();
        for (trouble, kind) in [
            (into_file(shell("exit 1"), &place(&dir, false)), "file"),
            (into_partition(shell("exit 1"), &place(&dir, true)), "partition"),
        ] {
            let trouble = trouble.unwrap_err();
            assert!(!trouble.is_target && trouble.words.contains("exit status: 1"), "{kind}");
        }
    }

    #[test]
    fn full_partition_is_the_targets_trouble() {
        let dir = tempfile::tempdir().unwrap();
        // 5000 bytes at offset 0, into room for 4096.
        let script = "printf makedumpfile; head -c 4084 /dev/zero
            printf '\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\023\\210'; head -c 5000 /dev/zero";
        let trouble = into_partition(shell(script), &place(&dir, true)).unwrap_err();
        assert!(trouble.is_target, "{trouble:?}");
    }

    #[test]
    fn missing_program_leads_to_the_next_step() {
        let dir = tempfile::tempdir().unwrap();
        let trouble = into_file(Command::new("/no/makedumpfile"), &place(&dir, false)).unwrap_err();
        assert!(!trouble.is_target && trouble.words.contains("cannot run"), "{trouble:?}");
    }
}
