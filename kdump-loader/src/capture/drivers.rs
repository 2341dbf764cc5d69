//! `[3]` The drivers that a device needs, from the host bridge down to itself.
//!
//! *On entry* a device that works now. *On exit* what the running kernel says about the driver of
//! every device above it, in the order in which the capture kernel must have them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::health::files::Files;

/// Where the devices of the driver model are, below the root.
pub const DEVICES: &str = "sys/devices";

/// A device on the way to another one, or that one, and its driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The driver's name, for messages.
    pub driver: String,
    /// The module that the driver is in, if the running kernel has loaded it as one.
    pub module: Option<String>,
    /// The name by which the bus looks for a driver (modules.alias).
    pub modalias: Option<String>,
}

/// The drivers of these directories in /sys/devices, those of the outermost devices first.
pub fn of(files: Files<'_>, devices: &[PathBuf]) -> Vec<Bound> {
    let mut seen = BTreeSet::new();
    let mut all = Vec::new();
    for device in devices {
        let below = |path: &&Path| path.starts_with(DEVICES) && *path != Path::new(DEVICES);
        let mut path: Vec<&Path> = device.ancestors().take_while(below).collect();
        path.reverse();
        for device in path {
            if seen.insert(device.to_owned()) {
                all.extend(bound(files, device));
            }
        }
    }
    // A disk of SCSI has its own driver, and its directory is below that device. NVMe drives with
    // several controllers are not below any.
    all
}

fn bound(files: Files<'_>, device: &Path) -> Option<Bound> {
    let driver = files.real_name(device.join("driver")).ok()?;
    let module = files.real_name(device.join("driver/module")).ok();
    // A driver that is built in may have a link, too (`module_add_driver`, drivers/base/module.c).
    let is_loaded = |name: &String| files.exists(format!("sys/module/{name}/initstate"));
    Some(Bound {
        driver,
        module: module.filter(is_loaded),
        modalias: files.line(device.join("modalias")).filter(|alias| !alias.is_empty()),
    })
}
