//! Hardware watchdogs that were running when the machine crashed.
//!
//! *On entry* /sys/class/watchdog, as far as drivers are loaded; and what the task names. *On exit*
//! of each look, every watchdog is fed that
//! - the task names: it was running when the image was armed
//! - a process has open, or whose time left becomes less
//!
//! No other is opened, because that would start it.
//!
//! Most drivers do not say that their device was running. Some stop it (i6300esb of Linux 6.12),
//! others have the kernel feed it (iTCO_wdt, `CONFIG_WATCHDOG_HANDLE_BOOT_ENABLED`). Both save the
//! dump, but then nothing ends a capture that hangs. So /init takes over those that were running.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use crate::console::Console;

/// Any byte but `V` feeds a watchdog; `V` would let it stop
/// (Documentation/watchdog/watchdog-api.rst).
const FOOD: &[u8] = b"\0";
/// Every watchdog has a directory here.
const CLASS: &str = "sys/class/watchdog";

/// The names of those that the task names, from when it is known.
pub type Named = Arc<OnceLock<Vec<String>>>;

/// The watchdogs of the machine.
#[derive(Debug)]
pub struct Watchdogs {
    root: PathBuf,
    console: Console,
    named: Named,
    /// Seconds left, by node, at the last look.
    left: HashMap<String, u64>,
    fed: HashMap<String, File>,
    /// Those that could not be opened.
    lost: Vec<String>,
}

impl Watchdogs {
    /// None is known yet.
    pub fn new(root: &Path, console: &Console, named: Named) -> Self {
        Self {
            root: root.to_owned(),
            console: console.clone(),
            named,
            left: HashMap::new(),
            fed: HashMap::new(),
            lost: Vec::new(),
        }
    }

    /// Looks for running watchdogs, and feeds those that are known.
    pub fn look(&mut self) {
        for Entry { node, sys } in entries(&self.root) {
            if self.lost.contains(&node) {
                continue;
            }
            if !self.fed.contains_key(&node) && self.was_running(&node, &sys) {
                self.open(&node, &sys);
            }
            if let Some(Err(error)) = self.fed.get_mut(&node).map(|file| file.write_all(FOOD)) {
                self.give_up(&node, &error);
            }
        }
    }

    fn was_running(&mut self, node: &str, sys: &Path) -> bool {
        let named = self.named.get().is_some_and(|named| named.contains(&read(sys, "identity")));
        if named || read(sys, "state") == "active" {
            return true;
        }
        let Ok(left) = read(sys, "timeleft").parse() else { return false };
        self.left.insert(node.to_owned(), left).is_some_and(|before| left < before)
    }

    fn open(&mut self, node: &str, sys: &Path) {
        match File::options().write(true).open(self.root.join("dev").join(node)) {
            Ok(file) => {
                self.console.say(&format!(
                    "{node} ({}) was running, so /init feeds it: if /init hangs, it resets the \
                     machine after {} s",
                    read(sys, "identity"),
                    read(sys, "timeout")
                ));
                self.fed.insert(node.to_owned(), file);
            }
            Err(error) => self.give_up(node, &error),
        }
    }

    fn give_up(&mut self, node: &str, error: &std::io::Error) {
        self.console.warn(&format!(
            "{node} was running and cannot be fed: {error}; it may reset the machine during the \
             dump"
        ));
        self.fed.remove(node);
        self.lost.push(node.to_owned());
    }
}

/// What cannot be done about watchdogs that the task names, in words, after modules are loaded.
pub fn missing(root: &Path, named: &[String]) -> Vec<String> {
    let present: Vec<String> =
        entries(root).into_iter().map(|entry| read(&entry.sys, "identity")).collect();
    let missing = named.iter().filter(|name| !present.contains(name));
    let words = |name| {
        format!(
            "the watchdog {name} was running, and this kernel has no driver for it: it may reset \
             the machine during the dump"
        )
    };
    missing.map(words).collect()
}

/// A watchdog.
struct Entry {
    /// Its name in /dev.
    node: String,
    /// Its directory in /sys.
    sys: PathBuf,
}

fn entries(root: &Path) -> Vec<Entry> {
    let entries = fs::read_dir(root.join(CLASS)).into_iter().flatten().flatten();
    let entry = |entry: fs::DirEntry| {
        Some(Entry { node: entry.file_name().into_string().ok()?, sys: entry.path() })
    };
    entries.filter_map(entry).collect()
}

/// An attribute; empty if there is none.
fn read(sys: &Path, attribute: &str) -> String {
    fs::read_to_string(sys.join(attribute)).unwrap_or_default().trim().to_owned()
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

        /// What looks for watchdogs. The task names these.
        fn watchdogs(&self, named: &[&str]) -> Watchdogs {
            let named = named.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
            Watchdogs::new(self.0.root(), &self.0.console(), Arc::new(named.into()))
        }
    }

    #[test]
    fn active_watchdog_is_fed_at_each_look() {
        let machine = Machine::new();
        machine.set("state", "active\n");
        let mut watchdogs = machine.watchdogs(&[]);
        (0..3).for_each(|_| watchdogs.look());
        assert_eq!(machine.fed(), FOOD.repeat(3));
        assert_eq!(machine.0.log().matches(") was running").count(), 1);
    }

    #[test]
    fn watchdog_that_the_task_names_is_fed_although_its_driver_has_stopped_it() {
        let machine = Machine::new();
        machine.set("state", "inactive\n");
        machine.set("identity", "i6300ESB timer\n");
        machine.set("timeout", "30\n");
        let mut watchdogs = machine.watchdogs(&["iTCO_wdt", "i6300ESB timer"]);
        (0..2).for_each(|_| watchdogs.look());
        assert_eq!(machine.fed(), FOOD.repeat(2));
        let said = "watchdog0 (i6300ESB timer) was running, so /init feeds it: if /init hangs, it \
                    resets the machine after 30 s";
        assert!(machine.0.log().contains(said), "{}", machine.0.log());
    }

    #[test]
    fn named_watchdog_without_a_driver_is_reported() {
        let machine = Machine::new();
        machine.set("identity", "hpwdt\n");
        let named = ["hpwdt", "iTCO_wdt"].map(String::from);
        let missing = missing(machine.0.root(), &named);
        assert_eq!(missing.len(), 1);
        assert!(missing[0].contains("iTCO_wdt was running"), "{missing:?}");
    }

    #[test]
    fn watchdog_whose_time_becomes_less_is_running() {
        let machine = Machine::new();
        machine.set("state", "inactive\n");
        let mut watchdogs = machine.watchdogs(&[]);
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
        let mut watchdogs = machine.watchdogs(&[]);
        (0..3).for_each(|_| watchdogs.look());
        assert_eq!(machine.fed(), b"");
        assert_eq!(machine.0.log(), "");
    }

    #[test]
    fn watchdog_that_cannot_be_fed_is_reported_once() {
        let machine = Machine::new();
        machine.set("state", "active\n");
        fs::remove_file(machine.0.root().join("dev/watchdog0")).unwrap();
        let mut watchdogs = machine.watchdogs(&[]);
        (0..3).for_each(|_| watchdogs.look());
        assert_eq!(machine.0.log().matches("cannot be fed").count(), 1, "{}", machine.0.log());
    }
}
