//! `[3a]` Watchdogs that run, and their drivers: a hardware watchdog does not stop when the kernel
//! panics.
//!
//! *On entry* /sys/class/watchdog. *On exit* the watchdogs that a process feeds, as `state` tells
//! (Documentation/ABI/testing/sysfs-class-watchdog). Without that file (`CONFIG_WATCHDOG_SYSFS`),
//! none is known. ipmi_watchdog has its own interface, and is not among them.

use std::path::{Path, PathBuf};

use super::drivers::{self, Bound};
use crate::health::files::Files;

/// Every watchdog has a link here.
const CLASS: &str = "sys/class/watchdog";
/// Each bus has a directory here, with one for each of its drivers.
const BUSES: &str = "sys/bus";
/// The name of softdog (drivers/watchdog/softdog.c): a timer of the kernel, which ends with it.
const SOFTDOG: &str = "Software Watchdog";

/// A watchdog that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// Its driver's name for it, which is the same in every kernel.
    pub name: String,
    /// The drivers that it needs, or None if sysfs does not say which it has.
    pub drivers: Option<Vec<Bound>>,
}

/// The watchdogs that run now.
pub fn running(files: Files<'_>) -> Vec<Running> {
    let running = |node: String| {
        let directory = Path::new(CLASS).join(node);
        let is_active = files.line(directory.join("state")).as_deref() == Some("active");
        let name = files.line(directory.join("identity")).filter(|name| !name.is_empty())?;
        (is_active && name != SOFTDOG).then(|| {
            let devices = devices(files, &directory, &name);
            let drivers = drivers::of(files, &devices);
            Running { name, drivers: Some(drivers).filter(|drivers| !drivers.is_empty()) }
        })
    };
    files.names(CLASS).into_iter().filter_map(running).collect()
}

/// The devices of a watchdog. Some drivers do not say which device is theirs (i6300esb of Linux
/// 6.12), but have the same name as their watchdog.
fn devices(files: Files<'_>, directory: &Path, name: &str) -> Vec<PathBuf> {
    if let Ok(device) = files.real_path(directory.join("device")) {
        return vec![device];
    }
    if name.contains('/') {
        return Vec::new();
    }
    let mut devices = Vec::new();
    for bus in files.names(BUSES) {
        let driver = Path::new(BUSES).join(bus).join("drivers").join(name);
        // Beside links to the devices, there is one to the module.
        let bound = files.names(&driver).into_iter();
        let paths = bound.filter_map(|link| files.real_path(driver.join(link)).ok());
        devices.extend(paths.filter(|path| path.starts_with(drivers::DEVICES)));
    }
    devices
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::example::{RELEASE, Tree, lib};
    use crate::capture::for_watchdogs;
    use crate::capture::modules::Index;

    const PCI: &str = "sys/devices/pci0000:00/0000:00:1f.0";
    const VIRTUAL: &str = "sys/devices/virtual/watchdog/watchdog0";

    /// A machine with a watchdog whose directory is there.
    fn machine(directory: &str, name: &str, state: &str) -> Tree {
        let tree = Tree::new();
        tree.write(&format!("{directory}/state"), &format!("{state}\n"));
        tree.write(&format!("{directory}/identity"), &format!("{name}\n"));
        tree.link("sys/class/watchdog/watchdog0", directory);
        tree
    }

    /// The watchdog of an Intel chipset, whose driver is below another one.
    fn with_itco(state: &str) -> Tree {
        let device = format!("{PCI}/iTCO_wdt.0.auto");
        let directory = format!("{device}/watchdog/watchdog0");
        let tree = machine(&directory, "iTCO_wdt", state);
        tree.bind(PCI, "pci", "lpc_ich", Some("lpc_ich"));
        tree.bind(&device, "platform", "iTCO_wdt", Some("iTCO_wdt"));
        tree.link(&format!("{directory}/device"), &device);
        for name in ["lpc_ich", "watchdog"] {
            tree.module(name, "drivers", &[]);
        }
        tree.module("iTCO_wdt", "drivers", &["watchdog"]);
        tree
    }

    fn modules(tree: &Tree) -> (Vec<String>, Vec<String>) {
        let index = Index::read(tree.files(), RELEASE).unwrap();
        for_watchdogs(tree.files(), &index, &running(tree.files()))
    }

    #[test]
    fn running_watchdog_brings_its_driver_and_those_above_it() {
        let (names, notes) = modules(&with_itco("active"));
        assert_eq!(names, ["lpc_ich", "iTCO_wdt"]);
        assert_eq!(notes, ["the watchdog iTCO_wdt is running; /init will feed it"]);
    }

    #[test]
    fn watchdog_that_does_not_run_or_does_not_say_is_left_out() {
        assert_eq!(running(with_itco("inactive").files()), []);
        assert_eq!(running(Tree::new().files()), []);
        let tree = with_itco("active");
        std::fs::remove_file(tree.path(&format!("{PCI}/iTCO_wdt.0.auto/watchdog/watchdog0/state")))
            .unwrap();
        assert_eq!(running(tree.files()), []);
    }

    #[test]
    fn driver_without_a_link_is_found_by_the_watchdogs_name() {
        let tree = machine(VIRTUAL, "i6300ESB timer", "active");
        let device = "sys/devices/pci0000:00/0000:00:05.0";
        tree.bind(device, "pci", "i6300ESB timer", Some("i6300esb"));
        tree.link("sys/bus/pci/drivers/i6300ESB timer/0000:00:05.0", device);
        tree.module("i6300esb", "drivers", &[]);
        let (names, notes) = modules(&tree);
        assert_eq!(names, ["i6300esb"]);
        assert!(notes[0].contains("/init will feed it"), "{notes:?}");
    }

    #[test]
    fn watchdog_whose_driver_is_unknown_is_named() {
        let (names, notes) = modules(&machine(VIRTUAL, "W83627HF Watchdog", "active"));
        assert_eq!(names, [""; 0]);
        assert!(notes[0].contains("W83627HF Watchdog is running, and which driver"), "{notes:?}");
    }

    #[test]
    fn watchdog_whose_driver_the_capture_kernel_lacks_is_named() {
        let tree = with_itco("active");
        tree.write(&lib("modules.dep"), "");
        let (names, notes) = modules(&tree);
        assert_eq!(names, [""; 0]);
        assert!(notes[0].contains("Linux 6.12.43 has no driver for it"), "{notes:?}");
    }

    #[test]
    fn watchdog_of_the_kernel_itself_ends_with_it() {
        assert_eq!(running(machine(VIRTUAL, SOFTDOG, "active").files()), []);
    }
}
