//! `[2]` Kernel modules, in the order of the task.
//!
//! *On entry* files in the initrd, compressed or not. *On exit* every module that can be loaded is
//! loaded. One that cannot is reported, and the next one is tried: it may not be needed. Each is
//! loaded by a process of its own, which an oops of the module ends, and which may hang: the kernel
//! waits for all disks that a driver finds (`do_init_module`, kernel/module/main.c).

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use capture_init::disks::in_time;
use rustix::io::Errno;
use rustix::system::finit_module;

use crate::alive;
use crate::child::{self, Job};
use crate::console::Console;

/// `MODULE_INIT_COMPRESSED_FILE` (include/uapi/linux/module.h): the kernel decompresses the file.
const COMPRESSED: i32 = 4;
/// Extensions of compressed modules.
const COMPRESSED_EXTENSIONS: [&str; 3] = ["xz", "zst", "gz"];

/// How long a module may take before the next one is loaded. A controller may need longer, but the
/// next module seldom needs it to be ready.
const LONGEST_LOAD: Duration = Duration::from_secs(20);
/// How many are being loaded, in threads.
static LOADING: AtomicU32 = AtomicU32::new(0);
/// With this parameter of every module, the kernel does not wait for disks
/// (Documentation/admin-guide/kernel-parameters.txt).
const NO_WAIT: &str = "async_probe";

/// Why a module is not loaded.
#[derive(Debug, thiserror::Error)]
enum NotLoaded {
    /// The kernel rejects it, or its parameters.
    #[error("cannot be loaded: {0}")]
    Rejected(String),
    /// The process ended meanwhile. A second try would wait for the first.
    #[error("cannot be loaded: {0}")]
    Ended(#[from] child::NoResult),
    /// The process has not ended.
    #[error("is not loaded after {} s, as if a device did not answer", LONGEST_LOAD.as_secs())]
    Slow,
}

/// Loads all. Returns the troubles, in words.
pub fn load_all(
    modules: &[String],
    parameters: &BTreeMap<String, String>,
    console: &Console,
) -> Vec<String> {
    load_by(modules, parameters, console, in_process)
}

fn load_by(
    modules: &[String],
    parameters: &BTreeMap<String, String>,
    console: &Console,
    load: fn(&Path, &str) -> Result<(), NotLoaded>,
) -> Vec<String> {
    let mut troubles = Vec::new();
    if modules.is_empty() {
        return troubles;
    }
    let (mut loaded, mut waits) = (modules.len(), true);
    let mut trouble = |words: String| {
        console.warn(&format!("{words}; continuing without it"));
        troubles.push(words);
    };
    for path in modules {
        let module = Path::new(path);
        alive::begin(format_args!("while loading module {path}"));
        let given = parameters.get(path).map_or("", String::as_str);
        let load = |given| match waits {
            true => load(module, given),
            false => load(module, format!("{given} {NO_WAIT}").trim()),
        };
        let mut result = load(given);
        if let Err(NotLoaded::Rejected(error)) = &result
            && !given.is_empty()
        {
            // The module matters more than its parameters.
            trouble(format!("module {path} cannot be loaded with {given:?}: {error}"));
            result = load("");
        }
        if let Err(error) = result {
            // Each of the next ones would wait as long.
            waits &= !matches!(error, NotLoaded::Slow);
            trouble(format!("module {path} {error}"));
            loaded -= 1;
        }
    }
    console.say(&format!("{loaded} of {} modules are loaded", modules.len()));
    troubles
}

fn in_process(module: &Path, parameters: &str) -> Result<(), NotLoaded> {
    let job = Job::Load { module: module.to_owned(), parameters: parameters.to_owned() };
    LOADING.fetch_add(1, Ordering::Relaxed);
    let result = in_time(LONGEST_LOAD, move || {
        let result = child::run::<Result<(), String>>(&job);
        LOADING.fetch_sub(1, Ordering::Relaxed);
        result
    });
    result.ok_or(NotLoaded::Slow)??.map_err(NotLoaded::Rejected)
}

/// Whether a module is still being loaded: its disks may come.
pub fn are_loading() -> bool {
    LOADING.load(Ordering::Relaxed) != 0
}

/// In the process: loads a module. Returns why it cannot be, in words.
pub fn load_here(module: &Path, parameters: &str) -> Result<(), String> {
    let has_none = parameters.is_empty() || parameters == NO_WAIT;
    load(module, parameters).map_err(|error| match has_none {
        true => in_words(&error),
        // The parameters are the usual cause.
        false => error.to_string(),
    })
}

fn load(path: &Path, parameters: &str) -> io::Result<()> {
    let parameters = CString::new(parameters)?;
    let file = File::open(path)?;
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let flags = if COMPRESSED_EXTENSIONS.contains(&extension) { COMPRESSED } else { 0 };
    match finit_module(&file, &parameters, flags) {
        // Loaded before, or built in.
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// An error of finit_module(2), with its usual cause.
fn in_words(error: &io::Error) -> String {
    let cause = match Errno::from_io_error(error) {
        Some(Errno::NOENT) => "the file is missing, or the module needs a symbol that is not there",
        Some(Errno::NOEXEC) => "the module belongs to another kernel",
        Some(Errno::OPNOTSUPP) => "this kernel does not decompress modules",
        Some(Errno::INVAL) => "this kernel does not know the flag for compressed modules",
        Some(Errno::NODEV) => "the device is absent",
        Some(Errno::NOMEM) => "there is too little memory",
        Some(Errno::PERM) => "a parameter of this kernel forbids it, such as module_blacklist=",
        Some(Errno::KEYREJECTED | Errno::NOKEY) => "this kernel rejects the module's signature",
        _ => return error.to_string(),
    };
    format!("{error}; {cause}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::heard::Heard;

    #[test]
    fn module_that_cannot_be_loaded_is_reported_and_the_next_is_tried() {
        let heard = Heard::new();
        let modules = ["/modules/a.ko", "/modules/b.ko.xz", "/modules/c.ko"].map(String::from);
        let none = BTreeMap::new();
        let troubles = load_by(&modules, &none, &heard.console(), |path, _| {
            let is_compressed = path.extension().is_some_and(|extension| extension == "xz");
            let foreign = in_words(&Errno::NOEXEC.into());
            if is_compressed { Err(NotLoaded::Rejected(foreign)) } else { Ok(()) }
        });
        let [trouble] = &troubles[..] else { panic!("{troubles:?}") };
        assert!(trouble.contains("/modules/b.ko.xz") && trouble.contains("another kernel"));
        assert!(heard.log().contains("continuing without it"), "{}", heard.log());
        assert!(heard.log().contains("2 of 3 modules are loaded"), "{}", heard.log());
    }

    #[test]
    fn module_gets_its_parameters_and_is_loaded_without_those_that_it_rejects() {
        let heard = Heard::new();
        let modules = ["/modules/a.ko", "/modules/b.ko", "/modules/c.ko"].map(String::from);
        let parameters =
            [("/modules/a.ko", "x=1"), ("/modules/b.ko", "bad")].map(|(a, b)| (a.into(), b.into()));
        let troubles =
            load_by(&modules, &parameters.into(), &heard.console(), |path, given| {
                match (path.to_str().unwrap(), given) {
                    ("/modules/a.ko", "x=1") | ("/modules/b.ko" | "/modules/c.ko", "") => Ok(()),
                    _ => Err(NotLoaded::Rejected("Invalid argument".into())),
                }
            });
        let [trouble] = &troubles[..] else { panic!("{troubles:?}") };
        assert!(trouble.contains("/modules/b.ko cannot be loaded with \"bad\""), "{trouble}");
        assert!(heard.log().contains("3 of 3 modules are loaded"), "{}", heard.log());
    }

    #[test]
    fn module_whose_process_ends_is_named_and_not_tried_again() {
        let heard = Heard::new();
        let modules = ["/modules/a.ko", "/modules/b.ko"].map(String::from);
        let parameters = [("/modules/a.ko".into(), "x=1".into())];
        let troubles =
            load_by(&modules, &parameters.into(), &heard.console(), |path, given| {
                match (path.to_str().unwrap(), given) {
                    ("/modules/a.ko", "x=1") => Err(child::NoResult::killed().into()),
                    ("/modules/b.ko", "") => Ok(()),
                    other => panic!("{other:?}"),
                }
            });
        let [trouble] = &troubles[..] else { panic!("{troubles:?}") };
        assert!(trouble.starts_with("module /modules/a.ko cannot be loaded: its process was"));
        assert!(heard.log().contains("1 of 2 modules are loaded"), "{}", heard.log());
    }

    #[test]
    fn module_that_takes_too_long_is_named_and_the_next_ones_do_not_wait_for_disks() {
        let heard = Heard::new();
        let modules = ["/modules/a.ko", "/modules/b.ko", "/modules/c.ko"].map(String::from);
        let parameters = [("/modules/c.ko".into(), "x=1".into())];
        let troubles =
            load_by(&modules, &parameters.into(), &heard.console(), |path, given| {
                match (path.to_str().unwrap(), given) {
                    ("/modules/a.ko", "") => Err(NotLoaded::Slow),
                    ("/modules/b.ko", "async_probe") | ("/modules/c.ko", "x=1 async_probe") => {
                        Ok(())
                    }
                    other => panic!("{other:?}"),
                }
            });
        let [trouble] = &troubles[..] else { panic!("{troubles:?}") };
        assert!(trouble.contains("/modules/a.ko is not loaded after 20 s"));
        assert!(heard.log().contains("2 of 3 modules are loaded"), "{}", heard.log());
    }

    #[test]
    fn missing_file_is_an_error() {
        let error = load_here(Path::new("/nowhere/a.ko.xz"), "").unwrap_err();
        assert!(error.contains("missing"), "{error}");
    }
}
