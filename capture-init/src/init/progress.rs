//! How far a dump is: a message each 5 %, and a line that changes once a second.

use std::time::{Duration, Instant};

use crate::alive;
use crate::console::Console;

const MESSAGE_EVERY_PERCENT: u64 = 5;
const LINE_EVERY: Duration = Duration::from_secs(1);

/// Reports progress.
#[derive(Debug)]
pub struct Progress<'a> {
    console: &'a Console,
    began: Instant,
    /// Percent of the last message.
    percent: u64,
    /// Time of the last line.
    line_at: Instant,
}

impl<'a> Progress<'a> {
    /// Nothing is done yet.
    pub fn new(console: &'a Console) -> Self {
        let now = Instant::now();
        Self { console, began: now, percent: 0, line_at: now }
    }

    /// `done` of `of` are done, whatever they count, and `bytes` are written.
    pub fn is_at(&mut self, done: u64, of: u64, bytes: u64) {
        alive::sign();
        let percent = (u128::from(done) * 100 / u128::from(of.max(1))) as u64;
        let seconds = self.began.elapsed().as_secs();
        let text = format!("{percent} %, {} MiB written, {seconds} s", bytes >> 20);
        let step = percent / MESSAGE_EVERY_PERCENT * MESSAGE_EVERY_PERCENT;
        if step > self.percent {
            self.percent = step;
            self.line_at = Instant::now();
            self.console.say(&text);
        } else if self.line_at.elapsed() >= LINE_EVERY {
            self.line_at = Instant::now();
            self.console.progress(&text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::heard::Heard;

    #[test]
    fn there_is_one_message_each_five_percent() {
        let heard = Heard::new();
        let console = heard.console();
        let mut progress = Progress::new(&console);
        for done in 0..=1000 {
            progress.is_at(done, 1000, done << 20);
        }
        let log = heard.log();
        assert_eq!(log.lines().count(), 20);
        assert!(log.contains("kdump-capture: 5 %, 50 MiB written, "), "{log}");
        assert!(log.lines().last().unwrap().contains("100 %, 1000 MiB written"));
    }

    #[test]
    fn dump_of_nothing_has_no_progress() {
        let heard = Heard::new();
        Progress::new(&heard.console()).is_at(0, 0, 0);
        assert_eq!(heard.log(), "");
    }
}
