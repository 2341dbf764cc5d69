//! `[5a]` The dump by the makedumpfile of the initrd, if the task wants it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use capture_init::{Dump, Format};

use crate::step::{Done, Place, Trouble};

/// Where the loader puts the program.
const PROGRAM: &str = "/bin/makedumpfile";
/// Less free space than this means that the target is full.
const NEARLY_NOTHING: u64 = 1 << 20;

/// Runs it with `arguments`, the vmcore and the place. Its messages go to the console.
pub fn save(arguments: &[String], vmcore: &Path, place: &Place) -> Result<Done, Trouble> {
    run(PROGRAM.as_ref(), arguments, vmcore, place)
}

fn run(
    program: &Path,
    arguments: &[String],
    vmcore: &Path,
    place: &Place,
) -> Result<Done, Trouble> {
    if place.is_partition {
        return Err(Trouble::of_step("makedumpfile cannot write into the middle of a partition"));
    }
    let status = Command::new(program)
        .args(arguments)
        .args([vmcore, &place.path])
        .stdin(Stdio::null())
        // Standard output is for the result.
        .stdout(std::io::stderr())
        .status();
    let status = status.map_err(|error| {
        Trouble::of_step(format_args!("cannot run {}: {error}", program.display()))
    })?;
    if !status.success() {
        let words = format!("makedumpfile failed: {status}");
        return Err(if is_full(&place.path) {
            Trouble::of_target(format_args!("{words}, and the target is full"))
        } else {
            Trouble::of_step(words)
        });
    }
    let written = fs::File::open(&place.path).and_then(|file| {
        file.sync_all()?;
        file.metadata()
    });
    let bytes = written.map_err(Trouble::target("the dump does not reach the disk"))?.len();
    let dump = Dump { format: Format::Makedumpfile, bytes, pages: None };
    Ok(Done::Dump { dump, troubles: Vec::new() })
}

fn is_full(path: &Path) -> bool {
    rustix::fs::statvfs(path)
        .is_ok_and(|space| space.f_bavail.saturating_mul(space.f_frsize) < NEARLY_NOTHING)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a shell in place of makedumpfile.
    fn run_script(script: &str) -> (Result<Done, Trouble>, String) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vmcore.incomplete");
        let place = Place { path: path.clone(), offset: 0, room: 0, is_partition: false };
        let arguments = ["-c", script, "-l", "-d", "31"].map(String::from);
        let done = run(Path::new("/bin/sh"), &arguments, Path::new("/proc/vmcore"), &place);
        (done, fs::read_to_string(path).unwrap_or_default())
    }

    #[test]
    fn program_gets_its_arguments_and_both_files() {
        let (done, written) = run_script("printf '%s ' \"$0\" \"$1\" \"$2\" \"$3\" > \"$4\"");
        assert_eq!(written, "-l -d 31 /proc/vmcore ");
        let dump = Dump { format: Format::Makedumpfile, bytes: 22, pages: None };
        assert_eq!(done, Ok(Done::Dump { dump, troubles: vec![] }));
    }

    #[test]
    fn failure_of_the_program_leads_to_the_next_step() {
        let (done, _) = run_script("exit 1");
        let trouble = done.unwrap_err();
        assert!(!trouble.is_target && trouble.words.contains("exit status: 1"), "{trouble:?}");
    }

    #[test]
    fn missing_program_leads_to_the_next_step() {
        let place = Place { path: "/nowhere".into(), offset: 0, room: 0, is_partition: false };
        let trouble = run(Path::new("/no/makedumpfile"), &[], Path::new("/v"), &place).unwrap_err();
        assert!(!trouble.is_target, "{trouble:?}");
    }
}
