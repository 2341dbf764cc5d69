//! Messages: each appears once on every console and once in the kernel log, from where the black
//! box takes it after a reset.
//!
//! *On entry* nothing; before /dev is mounted, messages go to standard error. *On exit* of each
//! call the message has left this process.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// How each line begins.
const PREFIX: &str = "kdump-capture: ";
/// printk cuts longer lines (`PRINTKRB_RECORD_MAX`, 1024 bytes with its own prefix).
const LONGEST_LINE: usize = 900;
/// `console_loglevel` of a kernel without `quiet` or `loglevel=`.
const DEFAULT_CONSOLE_LEVEL: u8 = 7;

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
}

impl Console {
    /// Those of the system whose root is `root`.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
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
        self.show(&format!("\r{PREFIX}{text}\x1b[K"));
    }

    /// Text that is too long for the kernel log.
    pub fn text(&self, text: &str) {
        self.show(text);
    }

    fn write(&self, level: Level, text: &str) {
        for line in pieces(text) {
            let line = format!("{PREFIX}{line}");
            let logged = self.log(level, &line).is_ok();
            // The kernel shows what it logs, unless its console level hides it.
            if !logged || level as u8 >= self.console_level() {
                self.show(&format!("\r{line}\n"));
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

    fn show(&self, text: &str) {
        let console = OpenOptions::new().append(true).open(self.root.join("dev/console"));
        // No place is left to report a failure.
        let _ = match console {
            Ok(mut console) => File::write_all(&mut console, text.as_bytes()),
            Err(_) => std::io::stderr().write_all(text.as_bytes()),
        };
    }
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
                File::create(tree.path().join("dev").join(file)).unwrap();
            }
            Self { tree }
        }

        pub fn console(&self) -> Console {
            Console::new(self.root())
        }

        pub fn root(&self) -> &Path {
            self.tree.path()
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
