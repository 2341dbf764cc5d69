//! Messages: each appears once on every console and once in the kernel log, from where the black
//! box takes it after a reset.
//!
//! *On entry* nothing; before /dev is mounted, messages go to standard error. *On exit* of each
//! call the message has left this process, unless the console has taken nothing for a while: a
//! console that is stopped (Ctrl-S), or whose interrupt is lost, must not stop the capture.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

/// How each line begins.
const PREFIX: &str = "kdump-capture: ";
/// printk cuts longer lines (`PRINTKRB_RECORD_MAX`, 1024 bytes with its own prefix).
const LONGEST_LINE: usize = 900;
/// `console_loglevel` of a kernel without `quiet` or `loglevel=`.
const DEFAULT_CONSOLE_LEVEL: u8 = 7;

/// How long a console may take nothing. A line of 9600 baud takes 4 KiB, its buffer, in four
/// seconds, but some of it much earlier.
const LONGEST_STALL: Duration = Duration::from_secs(2);
/// How often it is tried.
const TRY_EVERY: Duration = Duration::from_millis(20);

/// How urgent a message is, with the kernel's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Warning = 4,
    Notice = 5,
}

/// The places for messages.
#[derive(Clone, Debug)]
pub struct Console {
    root: PathBuf,
    /// It took nothing for too long. From then on nothing waits for it.
    stalled: Arc<AtomicBool>,
}

impl Console {
    /// Those of the system whose root is `root`.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), stalled: Arc::default() }
    }

    /// What happens.
    pub fn say(&self, text: &str) {
        self.write(Level::Notice, text);
    }

    /// What does not go as planned, with what comes next.
    pub fn warn(&self, text: &str) {
        self.write(Level::Warning, text);
    }

    /// A line that the next one may replace. It is not in the kernel log.
    pub fn progress(&self, text: &str) {
        self.show(&format!("\r{PREFIX}{text}\x1b[K"), Duration::ZERO);
    }

    /// Text that is too long for the kernel log.
    pub fn text(&self, text: &str) {
        self.show(text, LONGEST_STALL);
    }

    fn write(&self, level: Level, text: &str) {
        for line in pieces(text) {
            let line = format!("{PREFIX}{line}");
            let logged = self.log(level, &line).is_ok();
            // The kernel shows what it logs, unless its console level hides it.
            if !logged || level as u8 >= self.console_level() {
                self.show(&format!("\r{line}\n"), LONGEST_STALL);
            }
        }
    }

    /// Opened each time: the kernel limits the rate per open file.
    fn log(&self, level: Level, line: &str) -> std::io::Result<()> {
        let mut kmsg = OpenOptions::new().append(true).open(self.root.join("dev/kmsg"))?;
        kmsg.write_all(format!("<{}>{line}\n", level as u8).as_bytes())
    }

    /// Messages with lower numbers appear on the consoles.
    fn console_level(&self) -> u8 {
        let read = |path| fs::read_to_string(self.root.join(path)).ok();
        if read("sys/module/printk/parameters/ignore_loglevel").is_some_and(|on| on.trim() == "Y") {
            return u8::MAX;
        }
        let levels = read("proc/sys/kernel/printk").unwrap_or_default();
        let first = levels.split_whitespace().next().and_then(|level| level.parse().ok());
        first.unwrap_or(DEFAULT_CONSOLE_LEVEL)
    }

    /// Writes what the console takes, and waits at most so long for each part.
    fn show(&self, text: &str, longest: Duration) {
        let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32;
        let path = self.root.join("dev/console");
        let console = OpenOptions::new().append(true).custom_flags(flags).open(path);
        // No place is left to report a failure.
        let Ok(mut console) = console else {
            let _ = io::stderr().write_all(text.as_bytes());
            return;
        };
        let longest = if self.stalled.load(Ordering::Relaxed) { Duration::ZERO } else { longest };
        let taken = write_patiently(&mut console, text.as_bytes(), longest);
        if !taken && longest > Duration::ZERO {
            self.stalled.store(true, Ordering::Relaxed);
        }
    }
}

/// Whether everything was written. An output that takes nothing for so long is given up.
fn write_patiently(output: &mut impl Write, mut bytes: &[u8], longest: Duration) -> bool {
    let mut taken_at = Instant::now();
    while !bytes.is_empty() {
        match output.write(bytes) {
            Ok(0) => return false,
            Ok(count) => {
                bytes = &bytes[count..];
                taken_at = Instant::now();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return false,
            Err(_) if taken_at.elapsed() >= longest => return false,
            Err(_) => thread::sleep(TRY_EVERY),
        }
    }
    true
}

/// Lines that the kernel log has room for.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| {
        let mut rest = line;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let end =
                (0..=LONGEST_LINE.min(rest.len())).rev().find(|&at| rest.is_char_boundary(at));
            let (piece, later) = rest.split_at(end.unwrap_or(rest.len()));
            rest = later;
            Some(piece)
        })
    })
}

#[cfg(test)]
pub mod heard {
    //! A console whose messages tests read.

    use rustix::fs::{FileType, Mode};

    use super::*;

    /// A tree with /dev/kmsg and /dev/console.
    pub struct Heard {
        tree: tempfile::TempDir,
    }

    impl Heard {
        pub fn new() -> Self {
            let tree = tempfile::tempdir().unwrap();
            fs::create_dir(tree.path().join("dev")).unwrap();
            for file in ["kmsg", "console"] {
                fs::File::create(tree.path().join("dev").join(file)).unwrap();
            }
            Self { tree }
        }

        pub fn console(&self) -> Console {
            Console::new(self.root())
        }

        pub fn root(&self) -> &Path {
            self.tree.path()
        }

        /// The console takes what a pipe takes, and nothing more as long as the result is open.
        pub fn stop_console(&self) -> fs::File {
            let path = self.root().join("dev/console");
            fs::remove_file(&path).unwrap();
            let mode = Mode::RUSR | Mode::WUSR;
            rustix::fs::mknodat(rustix::fs::CWD, &path, FileType::Fifo, mode, 0).unwrap();
            OpenOptions::new().read(true).write(true).open(&path).unwrap()
        }

        /// The kernel log.
        pub fn log(&self) -> String {
            fs::read_to_string(self.root().join("dev/kmsg")).unwrap()
        }

        /// What was written to the console itself.
        pub fn shown(&self) -> String {
            fs::read_to_string(self.root().join("dev/console")).unwrap()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::heard::Heard;
    use super::*;

    #[test]
    fn message_is_in_the_kernel_log_which_shows_it() {
        let heard = Heard::new();
        heard.console().say("the disk is found");
        assert_eq!(heard.log(), "<5>kdump-capture: the disk is found\n");
        assert_eq!(heard.shown(), "", "the kernel shows it");
    }

    #[test]
    fn message_that_a_quiet_kernel_does_not_show_goes_to_the_console_too() {
        let heard = Heard::new();
        fs::create_dir_all(heard.root().join("proc/sys/kernel")).unwrap();
        fs::write(heard.root().join("proc/sys/kernel/printk"), "4\t4\t1\t7\n").unwrap();
        heard.console().warn("the disk is full");
        assert_eq!(heard.log(), "<4>kdump-capture: the disk is full\n");
        assert_eq!(heard.shown(), "\rkdump-capture: the disk is full\n");
    }

    /// Takes `room` bytes, and then nothing.
    struct Stopped {
        room: usize,
        tries: usize,
    }

    impl Write for Stopped {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.tries += 1;
            let taken = self.room.min(bytes.len()).min(3);
            self.room -= taken;
            if taken == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(taken) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn console_that_takes_nothing_is_given_up() {
        let mut console = Stopped { room: 7, tries: 0 };
        assert!(!write_patiently(&mut console, b"a longer message", Duration::ZERO));
        assert_eq!((console.room, console.tries), (0, 4));
        let mut slow = Stopped { room: 100, tries: 0 };
        assert!(write_patiently(&mut slow, b"a longer message", Duration::ZERO));
    }

    #[test]
    fn stopped_console_is_waited_for_once() {
        let heard = Heard::new();
        let _console = heard.stop_console();
        let console = heard.console();
        // More than a pipe takes.
        console.text(&"x".repeat(1 << 20));
        assert!(console.clone().stalled.load(Ordering::Relaxed), "for all who use it");
    }

    #[test]
    fn long_message_is_logged_in_pieces() {
        let heard = Heard::new();
        heard.console().say(&"ä".repeat(LONGEST_LINE));
        let log = heard.log();
        assert_eq!(log.lines().count(), 2);
        assert_eq!(log.matches('ä').count(), LONGEST_LINE);
    }

    #[test]
    fn progress_is_not_in_the_kernel_log() {
        let heard = Heard::new();
        heard.console().progress("5 %");
        assert_eq!(heard.log(), "");
        assert!(heard.shown().contains("5 %"));
    }
}
