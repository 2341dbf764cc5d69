//! A directory with a snapshot, a capture kernel, an initrd and a purgatory, each of which a test
//! may damage.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use tempfile::TempDir;

/// The small kernel and purgatory of the loader's own tests.
pub use loader::example;

/// The relocatable purgatories of the loader's own tests.
pub use loader::purgatory::relocatable::example as relocatable;

/// The machine of the loader's own tests, which looks for its type here.
pub use loader::machine::example as machine;

/// The initrds of the program's own tests.
#[path = "../../src/initrd/example.rs"]
pub mod initrd;

/// A machine for which `status` answers yes.
pub mod status;

/// The program as a user without privileges.
pub mod unprivileged;

/// The directory.
pub struct Fixture {
    dir: TempDir,
}

/// The result of a run.
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Fixture {
    /// A fixture for which `plan` succeeds.
    pub fn new() -> Self {
        let fixture = Self { dir: TempDir::new().unwrap() };
        machine::plant(&fixture.path("snapshot"), &Self::snapshot_files());
        fixture.write("vmlinuz", &example::bzimage(&example::pattern(100_000)));
        fixture.write("initrd", &Self::initrd());
        fixture.write("purgatory.elf", &example::purgatory().bytes());
        fixture
    }

    /// An initrd of 30000 bytes that starts like a cpio archive.
    pub fn initrd() -> Vec<u8> {
        let mut bytes = example::pattern(30_000);
        bytes[..6].copy_from_slice(b"070701");
        bytes
    }

    /// The snapshot's files by name.
    pub fn snapshot_files() -> BTreeMap<String, Vec<u8>> {
        machine::files()
    }

    /// The path of a file in the directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Replaces a file.
    pub fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    /// Changes a file's bytes.
    pub fn spoil(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = fs::read(self.path(name)).unwrap();
        change(&mut bytes);
        self.write(name, &bytes);
    }

    /// Replaces text in a file of the snapshot. The text must be there.
    pub fn edit_snapshot(&self, name: &str, from: &str, to: &str) {
        let path = self.path("snapshot").join(name);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{name} lacks {from:?}");
        fs::write(path, text.replace(from, to)).unwrap();
    }

    /// The arguments for a `plan` with all files of the directory.
    pub fn plan_command(&self) -> Command {
        let mut command = program();
        command.arg("plan").arg("--snapshot").arg(self.path("snapshot"));
        command.arg("--kernel").arg(self.path("vmlinuz"));
        command.arg("--initrd").arg(self.path("initrd"));
        command.arg("--purgatory").arg(self.path("purgatory.elf"));
        command
    }

    /// Runs `plan` with more arguments.
    pub fn plan<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Run {
        run(self.plan_command().args(arguments))
    }

    /// Runs `plan`, which must fail. Returns the message.
    pub fn refusal<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> String {
        let Run { code, stdout, stderr } = self.plan(arguments);
        assert_eq!(code, Some(1), "{stderr}");
        assert_eq!(stdout, "", "data of something that was refused");
        assert!(stderr.lines().all(|line| line.starts_with("kdump-loader: ")), "{stderr}");
        stderr
    }
}

/// The program.
pub fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_kdump-loader"))
}

/// Runs it to its end.
pub fn run(command: &mut Command) -> Run {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

/// Asserts that a message contains all of these words.
#[track_caller]
pub fn assert_says(message: &str, words: &[&str]) {
    for word in words {
        assert!(message.contains(word), "{word:?} is missing in: {message}");
    }
}

/// No arguments.
pub const NONE: [&str; 0] = [];
