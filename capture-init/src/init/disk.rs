//! `[3]` The target's disk.
//!
//! *On entry* drivers are loaded or being loaded, and devices appear when they are ready. *On exit*
//! the device with the task's id, or the reason why there is none after [`LONGEST_WAIT`], or after
//! [`LONGEST_WAIT_FOR_DRIVER`].

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use capture_init::DiskId;
use capture_init::disks::{self, Device, Disk, LONGEST_ANSWER, NotFound, Search};

use crate::console::Console;

/// How long a disk may take: as long as systemd waits for a device (`DefaultDeviceTimeoutSec=`,
/// systemd-system.conf(5)). libata alone tries for a minute to reset a slow one
/// (`ata_eh_reset_timeouts`, drivers/ata/libata-eh.c).
pub const LONGEST_WAIT: Duration = Duration::from_secs(90);
/// How long it may take while a driver is being loaded. megaraid_sas waits 180 s for its controller's
/// firmware (`MEGASAS_RESET_WAIT_TIME`, drivers/scsi/megaraid/megaraid_sas.h), hpsa longer.
pub const LONGEST_WAIT_FOR_DRIVER: Duration = Duration::from_secs(300);
/// How often /sys is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often the disks themselves are read although no device appeared.
const READ_EVERY: Duration = Duration::from_secs(1);

/// Waits for the disk as long as `longest` says at that moment.
pub fn wait_for(
    root: &Path,
    id: &DiskId,
    longest: impl Fn() -> Duration,
    console: &Console,
) -> Result<Device, NotFound> {
    let began = Instant::now();
    let is_over = || began.elapsed() >= longest();
    let (mut search, mut silent) = (Search::new(root, id.needs_tables()), Vec::new());
    let (mut names, mut error, mut read_at) = (Vec::new(), None, began);
    loop {
        let now = disks::names(root);
        if error.is_none() || now != names || read_at.elapsed() >= READ_EVERY {
            (names, read_at) = (now, Instant::now());
            let disks = search.look(LONGEST_ANSWER);
            name_silent(&disks, &mut silent, console);
            match disks::find(&disks, id) {
                // Its node appears a moment after its directory in /sys.
                Ok(device) if device.path.exists() || is_over() => {
                    return Ok(device);
                }
                Ok(_) => error = None,
                Err(found) => {
                    if error.is_none() {
                        let seconds = longest().as_secs();
                        console.say(&format!("waiting up to {seconds} s for {id}"));
                    }
                    error = Some(found);
                }
            }
        }
        match error.take() {
            Some(error) if is_over() => return Err(error),
            last => error = last,
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// Says which disks do not answer, each once.
fn name_silent(disks: &[Disk], named: &mut Vec<String>, console: &Console) {
    for disk in disks.iter().filter(|disk| disk.is_silent()) {
        let name = &disk.device.name;
        if !named.contains(name) {
            let seconds = LONGEST_ANSWER.as_secs();
            console.warn(&format!("{name} does not answer for {seconds} s; continuing without it"));
            named.push(name.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::heard::Heard;
    use rustix::fs::{FileType, Mode};
    use std::fs;

    fn disk_appears(root: &Path) {
        let sys = root.join("sys/class/block/vdb");
        fs::create_dir_all(&sys).unwrap();
        fs::write(root.join("dev/vdb"), [0; 512]).unwrap();
        fs::write(sys.join("size"), "8\n").unwrap();
        fs::write(sys.join("serial"), "dump-0\n").unwrap();
    }

    #[test]
    fn disk_that_appears_later_is_found() {
        let heard = Heard::new();
        let root = heard.root().to_owned();
        let id = DiskId::Serial("dump-0".into());
        let found = thread::scope(|scope| {
            let waiting = scope.spawn(|| wait_for(&root, &id, || LONGEST_WAIT, &heard.console()));
            // The disk appears after the first look, which says that it waits.
            while heard.log().is_empty() {
                thread::yield_now();
            }
            disk_appears(&root);
            waiting.join().unwrap()
        });
        assert_eq!(found.unwrap().bytes, 4096);
        assert!(heard.log().contains("waiting up to 90 s"), "{}", heard.log());
    }

    #[test]
    fn disk_that_does_not_answer_is_named_once() {
        let heard = Heard::new();
        disk_appears(heard.root());
        let node = heard.root().join("dev/vdb");
        fs::remove_file(&node).unwrap();
        let (kind, mode) = (FileType::Fifo, Mode::RUSR | Mode::WUSR);
        rustix::fs::mknodat(rustix::fs::CWD, &node, kind, mode, 0).unwrap();
        let disks = Search::new(heard.root(), true).look(Duration::from_millis(100));
        let mut named = Vec::new();
        (0..2).for_each(|_| name_silent(&disks, &mut named, &heard.console()));
        assert_eq!(heard.log().matches("vdb does not answer for 5 s").count(), 1);
    }

    #[test]
    fn disk_that_never_appears_ends_the_wait() {
        let heard = Heard::new();
        disk_appears(heard.root());
        let id = DiskId::Serial("other".into());
        let error = wait_for(heard.root(), &id, || Duration::ZERO, &heard.console()).unwrap_err();
        assert!(error.to_string().contains("vdb of 0 MiB (serial number dump-0)"), "{error}");
    }
}
