//! `[6]` The initrd: /init, its task, the modules, makedumpfile, and what a process expects to
//! exist.
//!
//! *On entry* their bytes. *On exit* a newc archive (Documentation/driver-api/early-userspace/
//! buffer-format.rst) that depends on nothing else: the same input gives the same bytes.
//!
//! It is not compressed. The modules are, and /init is small.

use std::collections::BTreeSet;
use std::io::Write;

use capture_init::{TASK_PATH, Task};
use cpio::newc::{Builder, ModeFileType};

use super::makedumpfile::Carried;
use super::packed::Packed;

/// Where the modules are in the archive.
const MODULES: &str = "modules";
/// Directories in which /init mounts, with their parents.
const DIRECTORIES: [&str; 6] = ["dev", MODULES, "proc", "sys", "target", "tmp"];
/// Character devices that must exist before /init mounts /dev, with their major and minor numbers
/// (Documentation/admin-guide/devices.txt). The kernel opens /dev/console for /init. If no console
/// works, it starts /init without open files, and Rust's runtime opens /dev/null instead of them,
/// or aborts (`sanitize_standard_fds`, library/std/src/sys/pal/unix/mod.rs).
const DEVICES: [(&str, (u32, u32)); 2] = [("dev/console", (5, 1)), ("dev/null", (1, 3))];

/// The path of a module in the initrd, as the task names it.
pub fn module_path(file: &str) -> String {
    format!("/{MODULES}/{file}")
}

/// The archive.
pub fn archive(init: &[u8], task: &Task, modules: &[Packed], programs: &[Carried]) -> Vec<u8> {
    let mut archive = Archive { bytes: Vec::new(), inode: 1 };
    // Each directory comes before what is in it.
    let directories = programs.iter().flat_map(|file| parents(&file.place));
    let directories: BTreeSet<&str> = directories.chain(DIRECTORIES).collect();
    for directory in directories {
        archive.add(entry(directory, 0o755, ModeFileType::Directory), &[]);
    }
    for (name, (major, minor)) in DEVICES {
        let device = entry(name, 0o600, ModeFileType::Char);
        archive.add(device.rdev_major(major).rdev_minor(minor), &[]);
    }
    archive.add(entry("init", 0o755, ModeFileType::Regular), init);
    let task_name = TASK_PATH.trim_start_matches('/');
    archive.add(entry(task_name, 0o644, ModeFileType::Regular), &task.to_json());
    let mut modules: Vec<&Packed> = modules.iter().collect();
    modules.sort_by(|one, other| one.file.cmp(&other.file));
    for module in modules {
        let name = format!("{MODULES}/{}", module.file);
        archive.add(entry(&name, 0o644, ModeFileType::Regular), &module.bytes);
    }
    for file in programs {
        archive.add(entry(&file.place, 0o755, ModeFileType::Regular), &file.bytes);
    }
    cpio::newc::trailer(archive.bytes).expect("a Vec takes every byte")
}

/// The directories that lead to a file.
fn parents(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}

fn entry(name: &str, mode: u32, kind: ModeFileType) -> Builder {
    Builder::new(name).mode(mode).set_mode_file_type(kind)
}

struct Archive {
    bytes: Vec<u8>,
    /// The next inode number. Equal ones would be links.
    inode: u32,
}

impl Archive {
    fn add(&mut self, entry: Builder, content: &[u8]) {
        let len = u32::try_from(content.len()).expect("each file has a smaller limit");
        let mut writer = entry.ino(self.inode).write(std::mem::take(&mut self.bytes), len);
        writer.write_all(content).expect("a Vec takes every byte");
        self.bytes = writer.finish().expect("a Vec takes every byte");
        self.inode += 1;
    }
}

#[cfg(test)]
mod tests {
    use capture_init::{DiskId, DumpLevel, Keep, TASK_VERSION, Target};
    use loader::files::identity::FileIdentity;

    use super::*;
    use crate::initrd::Initrd;

    fn packed(file: &str) -> Packed {
        let source = FileIdentity::of("/dev/null".as_ref()).unwrap();
        Packed {
            file: file.into(),
            bytes: file.as_bytes().to_vec(),
            unpacked: file.len() as u64,
            source,
        }
    }

    fn task() -> Task {
        Task {
            version: TASK_VERSION,
            modules: vec![module_path("b.ko.xz"), module_path("a.ko")],
            parameters: Default::default(),
            target: Target::Raw { disk: DiskId::PartUuid("9e2a5c11-03".into()) },
            level: DumpLevel::NoFreeOrZeroes,
            timeout_seconds: Some(60),
            keep: Keep { count: 3, bytes: None },
            makedumpfile: None,
            watchdogs: Vec::new(),
        }
    }

    #[test]
    fn archive_has_init_the_task_and_every_module_that_the_task_names() {
        let bytes = archive(b"\x7fELF", &task(), &[packed("b.ko.xz"), packed("a.ko")], &[]);
        let initrd = Initrd::read(&bytes[..], |_| true).unwrap();
        assert_eq!(initrd.kept["init"], b"\x7fELF");
        assert_eq!(Task::from_json(&initrd.kept["task.json"]).unwrap(), task());
        for module in task().modules {
            assert!(initrd.kept.contains_key(module.trim_start_matches('/')), "{module}");
        }
        for path in ["dev/console", "proc", "sys", "tmp", "target"] {
            assert!(initrd.names.contains(path), "{path}");
        }
        let names: Vec<&String> = initrd.names.iter().collect();
        assert!(names.iter().all(|name| !name.starts_with('/')), "{names:?}");
    }

    #[test]
    fn archive_is_the_same_whatever_the_order_of_the_modules() {
        let (a, b) = (packed("a.ko"), packed("b.ko.xz"));
        let one = archive(b"init", &task(), &[a.clone(), b.clone()], &[]);
        assert_eq!(one, archive(b"init", &task(), &[b, a], &[]));
    }

    #[test]
    fn directories_of_a_program_come_before_it() {
        let place = "opt/deep/lib/libz.so.1".to_owned();
        let source = FileIdentity::of("/dev/null".as_ref()).unwrap();
        let file = Carried { key: String::new(), place, bytes: b"library".to_vec(), source };
        let bytes = archive(b"init", &task(), &[], &[file]);
        let at = |name: &str| {
            let name = format!("{name}\0");
            bytes.windows(name.len()).position(|window| window == name.as_bytes()).unwrap()
        };
        let order = ["opt", "opt/deep", "opt/deep/lib", "opt/deep/lib/libz.so.1"].map(at);
        assert!(order.is_sorted(), "{order:?}");
        let initrd = Initrd::read(&bytes[..], |_| true).unwrap();
        assert_eq!(initrd.kept["opt/deep/lib/libz.so.1"], b"library");
    }

    #[test]
    fn console_is_a_character_device() {
        let bytes = archive(b"init", &task(), &[], &[]);
        let at = bytes.windows(11).position(|name| name == b"dev/console").unwrap();
        let header = str::from_utf8(&bytes[at - 110..at]).unwrap();
        let field = |index: usize| u32::from_str_radix(&header[6 + 8 * index..][..8], 16).unwrap();
        assert_eq!((field(1), field(9), field(10)), (0o020_600, 5, 1), "mode and device number");
    }
}
