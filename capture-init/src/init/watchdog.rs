//! Hardware watchdogs that were running when the machine crashed.
//!
//! *On entry* /sys/class/watchdog, as far as drivers are loaded. *On exit* of each look, a running
//! watchdog is fed. One that is not running is never opened, because that would start it.
//!
//! A watchdog runs if a process has it open, or if the time that it has left becomes less. Feeding
//! ends with /init. So a reset that hangs is ended by the watchdog.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::console::Console;

/// Any byte but `V` feeds a watchdog; `V` would let it stop
/// (Documentation/watchdog/watchdog-api.rst).
const FOOD: &[u8] = b"\0";

/// The watchdogs of the machine.
#[derive(Debug)]
pub struct Watchdogs {
    root: PathBuf,
    console: Console,
    /// Seconds left, by name, at the last look.
    left: HashMap<String, u64>,
    fed: HashMap<String, File>,
    /// Those that could not be opened.
    lost: Vec<String>,
}

impl Watchdogs {
    /// None is known yet.
    pub fn new(root: &Path, console: &Console) -> Self {
        Self {
            root: root.to_owned(),
            console: console.clone(),
            left: HashMap::new(),
            fed: HashMap::new(),
            lost: Vec::new(),
        }
    }

    /// Looks for running watchdogs, and feeds those that are known.
    pub fn look(&mut self) {
        let entries = fs::read_dir(self.root.join("sys/class/watchdog"));
        for entry in entries.into_iter().flatten().flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            if self.lost.contains(&name) {
                continue;
            }
            if !self.fed.contains_key(&name) && self.is_running(&name, &entry.path()) {
                self.open(&name);
            }
            if let Some(Err(error)) = self.fed.get_mut(&name).map(|file| file.write_all(FOOD)) {
                self.give_up(&name, &error);
            }
        }
    }

    fn is_running(&mut self, name: &str, sys: &Path) -> bool {
        let read = |file| fs::read_to_string(sys.join(file)).unwrap_or_default();
        if read("state").trim() == "active" {
            return true;
        }
        let Ok(left) = read("timeleft").trim().parse() else { return false };
        self.left.insert(name.to_owned(), left).is_some_and(|before| left < before)
    }

    fn open(&mut self, name: &str) {
        match File::options().write(true).open(self.root.join("dev").join(name)) {
            Ok(file) => {
                self.console.say(&format!("{name} is running, so /init feeds it until the reset"));
                self.fed.insert(name.to_owned(), file);
            }
            Err(error) => self.give_up(name, &error),
        }
    }

    fn give_up(&mut self, name: &str, error: &std::io::Error) {
        self.console.warn(&format!(
            "{name} is running and cannot be fed: {error}; it may reset the machine during the dump"
        ));
        self.fed.remove(name);
        self.lost.push(name.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::heard::Heard;

    /// A machine with a watchdog.
    struct Machine(Heard);

    impl Machine {
        fn new() -> Self {
            let heard = Heard::new();
            fs::create_dir_all(heard.root().join("sys/class/watchdog/watchdog0")).unwrap();
            fs::write(heard.root().join("dev/watchdog0"), "").unwrap();
            Self(heard)
        }

        fn set(&self, file: &str, content: &str) {
            fs::write(self.0.root().join("sys/class/watchdog/watchdog0").join(file), content)
                .unwrap();
        }

        fn fed(&self) -> Vec<u8> {
            fs::read(self.0.root().join("dev/watchdog0")).unwrap()
        }
    }

    #[test]
    fn active_watchdog_is_fed_at_each_look() {
        let machine = Machine::new();
        machine.set("state", "active\n");
        let mut watchdogs = Watchdogs::new(machine.0.root(), &machine.0.console());
        (0..3).for_each(|_| watchdogs.look());
        assert_eq!(machine.fed(), FOOD.repeat(3));
        assert_eq!(machine.0.log().matches("watchdog0 is running").count(), 1);
    }

    #[test]
    fn watchdog_whose_time_becomes_less_is_running() {
        let machine = Machine::new();
        machine.set("state", "inactive\n");
        let mut watchdogs = Watchdogs::new(machine.0.root(), &machine.0.console());
        for (left, fed) in [("30\n", 0), ("30\n", 0), ("29\n", 1), ("30\n", 2)] {
            machine.set("timeleft", left);
            watchdogs.look();
            assert_eq!(machine.fed().len(), fed, "{left}");
        }
    }

    #[test]
    fn watchdog_that_is_not_running_is_not_started() {
        let machine = Machine::new();
        machine.set("state", "inactive\n");
        machine.set("timeleft", "0\n");
        let mut watchdogs = Watchdogs::new(machine.0.root(), &machine.0.console());
        (0..3).for_each(|_| watchdogs.look());
        assert_eq!(machine.fed(), b"");
        assert_eq!(machine.0.log(), "");
    }

    #[test]
    fn watchdog_that_cannot_be_fed_is_reported_once() {
        let machine = Machine::new();
        machine.set("state", "active\n");
        fs::remove_file(machine.0.root().join("dev/watchdog0")).unwrap();
        let mut watchdogs = Watchdogs::new(machine.0.root(), &machine.0.console());
        (0..3).for_each(|_| watchdogs.look());
        assert_eq!(machine.0.log().matches("cannot be fed").count(), 1, "{}", machine.0.log());
    }
}
