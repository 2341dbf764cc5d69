//! `[2]` Kernel modules, in the order of the task.
//!
//! *On entry* files in the initrd, compressed or not. *On exit* every module that can be loaded is
//! loaded. One that cannot is reported, and the next one is tried: it may not be needed.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::io::Errno;
use rustix::system::finit_module;

use crate::console::Console;

/// `MODULE_INIT_COMPRESSED_FILE` (include/uapi/linux/module.h): the kernel decompresses the file.
const COMPRESSED: i32 = 4;
/// Extensions of compressed modules.
const COMPRESSED_EXTENSIONS: [&str; 3] = ["xz", "zst", "gz"];

/// Loads all. Returns the troubles, in words.
pub fn load_all(modules: &[String], console: &Console) -> Vec<String> {
    load_by(modules, console, load)
}

fn load_by(
    modules: &[String],
    console: &Console,
    load: fn(&Path) -> io::Result<()>,
) -> Vec<String> {
    let mut troubles = Vec::new();
    if modules.is_empty() {
        return troubles;
    }
    for path in modules {
        if let Err(error) = load(Path::new(path)) {
            troubles.push(format!("module {path} cannot be loaded: {}", in_words(&error)));
        }
    }
    for trouble in &troubles {
        console.warn(&format!("{trouble}; continuing without it"));
    }
    let loaded = modules.len() - troubles.len();
    console.say(&format!("{loaded} of {} modules are loaded", modules.len()));
    troubles
}

fn load(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let flags = if COMPRESSED_EXTENSIONS.contains(&extension) { COMPRESSED } else { 0 };
    match finit_module(&file, c"", flags) {
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
        let troubles = load_by(&modules, &heard.console(), |path| match path.extension() {
            Some(extension) if extension == "xz" => Err(Errno::NOEXEC.into()),
            _ => Ok(()),
        });
        let [trouble] = &troubles[..] else { panic!("{troubles:?}") };
        assert!(trouble.contains("/modules/b.ko.xz") && trouble.contains("another kernel"));
        assert!(heard.log().contains("continuing without it"), "{}", heard.log());
        assert!(heard.log().contains("2 of 3 modules are loaded"), "{}", heard.log());
    }

    #[test]
    fn missing_file_is_an_error() {
        let error = load(Path::new("/nowhere/a.ko.xz")).unwrap_err();
        assert!(in_words(&error).contains("missing"), "{}", in_words(&error));
    }
}
