//! `[5a]` The dump by the makedumpfile of the initrd, if the task wants it.
//!
//! *On entry* the task's arguments. *On exit* the dump. makedumpfile writes its flattened format to
//! a pipe, and this step puts that in order at the target: so the dump begins at any offset, takes
//! no more room than it may, and needs no `-R` to be read. Its messages go to the console as all
//! others do, so that a console that is stopped does not stop the dump.

mod flattened; // a dump as a stream
mod messages; // what it says

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use capture_init::{Dump, Format, LIBRARIES_PATH, MAKEDUMPFILE_PATH};

use crate::console::Console;
use crate::output::Target;
use crate::step::{Done, Place, Trouble};

/// Where ld.so looks for libraries first (ld.so(8)).
const LIBRARIES: &str = "LD_LIBRARY_PATH";
/// Writes a stream to standard output, and messages to standard error (makedumpfile(8)).
const FLATTENED: &str = "-F";

/// Runs it with `arguments`.
pub fn save(
    arguments: &[String],
    vmcore: &Path,
    place: &Place,
    console: &Console,
) -> Result<Done, Trouble> {
    let mut command = Command::new(MAKEDUMPFILE_PATH);
    command.env(LIBRARIES, LIBRARIES_PATH).arg(FLATTENED).args(arguments).arg(vmcore);
    let bytes = write(command, place, console)?;
    let dump = Dump { format: Format::Makedumpfile, bytes, pages: None };
    Ok(Done::Dump { dump, troubles: Vec::new() })
}

fn write(mut command: Command, place: &Place, console: &Console) -> Result<u64, Trouble> {
    let mut target = Target::open(place).map_err(Trouble::target("cannot open the target"))?;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .map_err(|error| Trouble::of_step(format_args!("cannot run makedumpfile: {error}")))?;
    let pipes = child.stdout.take().zip(child.stderr.take());
    let (stream, said) = pipes.ok_or_else(|| Trouble::of_step("there is no pipe"))?;
    let of_thread = console.clone();
    // If there is no thread, the pipe is closed, and what makedumpfile says is lost.
    let forwards = thread::Builder::new().spawn(move || messages::forward(said, &of_thread)).ok();
    // Its end closes the pipe, which ends makedumpfile if it still writes.
    let written = flattened::rearrange(stream, &mut target);
    let status = child.wait().map_err(Trouble::of_step)?;
    // Its last words come before ours.
    forwards.map(thread::JoinHandle::join);
    let bytes = written.map_err(|error| match error {
        flattened::Error::Write { offset, source }
            if source.kind() == io::ErrorKind::StorageFull =>
        {
            let (offset, room) = (offset >> 20, place.room >> 20);
            Trouble::of_target(format_args!(
                "the target is full after {offset} MiB: it had {room} MiB"
            ))
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::heard::Heard;
    use std::fs;

    /// The signature in its block, then 4 bytes at offset 2, then the end.
    const DUMP: &str = "printf makedumpfile; head -c 4084 /dev/zero
        printf '\\0\\0\\0\\0\\0\\0\\0\\002\\0\\0\\0\\0\\0\\0\\0\\004dump'
        for i in 1 2 3 4; do printf '\\377\\377\\377\\377'; done";
    /// 5000 bytes at offset 0, without an end.
    const LONG: &str = "printf makedumpfile; head -c 4084 /dev/zero
        printf '\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\023\\210'; head -c 5000 /dev/zero";

    /// A shell in place of makedumpfile.
    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    /// With room for 4096 bytes.
    fn place(heard: &Heard, is_partition: bool) -> Place {
        let path = heard.root().join("target");
        if is_partition {
            fs::write(&path, [0xee; 8192]).unwrap();
        }
        let offset = if is_partition { 4096 } else { 0 };
        Place { path, offset, room: 4096, is_partition }
    }

    fn written(script: &str, is_partition: bool) -> (Result<u64, Trouble>, Vec<u8>, Heard) {
        let heard = Heard::new();
        let place = place(&heard, is_partition);
        let result = write(shell(script), &place, &heard.console());
        (result, fs::read(&place.path).unwrap(), heard)
    }

    #[test]
    fn file_is_the_dump_as_it_is_read() {
        let (result, bytes, _) = written(DUMP, false);
        assert_eq!((result, &bytes[..]), (Ok(6), &b"\0\0dump"[..]));
    }

    #[test]
    fn program_writes_into_the_middle_of_a_partition() {
        let (result, bytes, _) = written(DUMP, true);
        assert_eq!(result, Ok(6));
        assert_eq!(&bytes[4094..4104], b"\xee\xee\xee\xeedump\xee\xee");
    }

    #[test]
    fn failure_of_the_program_leads_to_the_next_step() {
        for is_partition in [false, true] {
            let trouble = written("exit 1", is_partition).0.unwrap_err();
            assert!(!trouble.is_target && trouble.words.contains("exit status: 1"), "{trouble:?}");
        }
    }

    #[test]
    fn full_target_is_the_targets_trouble_and_a_file_takes_no_more_than_its_room() {
        for is_partition in [false, true] {
            let (result, bytes, _) = written(LONG, is_partition);
            let trouble = result.unwrap_err();
            assert!(trouble.is_target, "{trouble:?}");
            assert!(trouble.words.contains("the target is full after 0 MiB"), "{trouble:?}");
            assert!(is_partition || bytes.len() <= 4096, "{}", bytes.len());
        }
    }

    #[test]
    fn what_the_program_says_is_a_message_of_init() {
        let (result, _, heard) = written(&format!("echo 'Copying data' >&2; {DUMP}"), false);
        assert_eq!(result, Ok(6));
        assert!(heard.log().contains("kdump-capture: makedumpfile: Copying data"));
    }

    #[test]
    fn stopped_console_does_not_stop_the_program() {
        let heard = Heard::new();
        let console = heard.stop_console();
        // More than two pipes take.
        let script = format!("head -c 1000000 /dev/zero | tr '\\0' x >&2; {DUMP}");
        assert_eq!(write(shell(&script), &place(&heard, false), &heard.console()), Ok(6));
        drop(console);
    }

    #[test]
    fn missing_program_leads_to_the_next_step() {
        let heard = Heard::new();
        let command = Command::new("/no/makedumpfile");
        let trouble = write(command, &place(&heard, false), &heard.console()).unwrap_err();
        assert!(!trouble.is_target && trouble.words.contains("cannot run"), "{trouble:?}");
    }
}
