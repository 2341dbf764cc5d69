//! The configuration that a kernel was built with, from the first place that has it:
//!
//! * inside the bzImage, with `CONFIG_IKCONFIG`,
//! * `config-RELEASE` beside the bzImage, as in `/boot`,
//! * `.config` of the build tree, three folders above `arch/x86/boot/bzImage`.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;

use flate2::read::GzDecoder;
use loader::request::InputFile;
use memchr::memmem;

use crate::assets::kernel::payload;

/// What is before and after the packed configuration in a kernel (kernel/configs.c).
const IKCONFIG: [&[u8]; 2] = [b"IKCFG_ST", b"IKCFG_ED"];
/// A line of every configuration for this machine.
const X86_64: &str = "CONFIG_X86_64=y";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// `=y`, or a value.
    BuiltIn,
    /// `=m`.
    Module,
    /// Not set, or not known to this kernel.
    Off,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where it was found.
    pub source: String,
    symbols: BTreeMap<String, Setting>,
}

impl Config {
    /// Looks in each place.
    pub(super) fn find(bzimage: &InputFile, release: &str) -> Option<Self> {
        if let Some(text) = embedded(bzimage) {
            return Self::parse("inside the bzImage", &text);
        }
        let beside = bzimage.path.with_file_name(format!("config-{release}"));
        let tree = bzimage.path.ancestors().nth(4).map(|tree| tree.join(".config"));
        [Some(beside), tree].into_iter().flatten().find_map(|path| {
            let text = fs::read_to_string(&path).ok()?;
            Self::parse(&path.display().to_string(), &text)
        })
    }

    fn parse(source: &str, text: &str) -> Option<Self> {
        text.lines().find(|line| *line == X86_64)?;
        let symbol = |line: &str| {
            let (symbol, value) = line.strip_prefix("CONFIG_")?.split_once('=')?;
            let setting = if value == "m" { Setting::Module } else { Setting::BuiltIn };
            Some((symbol.to_owned(), setting))
        };
        Some(Self { source: source.to_owned(), symbols: text.lines().filter_map(symbol).collect() })
    }

    pub fn setting(&self, symbol: &str) -> Setting {
        self.symbols.get(symbol).copied().unwrap_or(Setting::Off)
    }
}

/// The configuration inside the kernel, if it was built with it and can be unpacked here.
fn embedded(bzimage: &InputFile) -> Option<String> {
    let vmlinux = payload::vmlinux(bzimage).ok()?;
    let [start, end] = IKCONFIG;
    let from = memmem::find(&vmlinux, start)? + start.len();
    let len = memmem::find(&vmlinux[from..], end)?;
    let mut text = String::new();
    GzDecoder::new(&vmlinux[from..from + len]).read_to_string(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symbol_is_built_in_a_module_or_off() {
        let text =
            "CONFIG_X86_64=y\nCONFIG_VIRTIO_MEM=m\n# CONFIG_EFI is not set\nCONFIG_NR_CPUS=64\n";
        let config = Config::parse("here", text).unwrap();
        let found = ["X86_64", "VIRTIO_MEM", "EFI", "NR_CPUS"].map(|symbol| config.setting(symbol));
        assert_eq!(found, [Setting::BuiltIn, Setting::Module, Setting::Off, Setting::BuiltIn]);
        assert_eq!(Config::parse("a file for another machine", "CONFIG_ARM64=y\n"), None);
    }

    #[test]
    fn the_build_tree_and_boot_are_searched() {
        let root = tempfile::tempdir().unwrap();
        let boot = root.path().join("arch/x86/boot");
        fs::create_dir_all(&boot).unwrap();
        let bzimage = InputFile { path: boot.join("bzImage"), bytes: Vec::new() };
        assert_eq!(Config::find(&bzimage, "6.1"), None);
        fs::write(root.path().join(".config"), "CONFIG_X86_64=y\nCONFIG_KEXEC=y\n").unwrap();
        assert_eq!(Config::find(&bzimage, "6.1").unwrap().setting("KEXEC"), Setting::BuiltIn);
        fs::write(boot.join("config-6.1"), "CONFIG_X86_64=y\n").unwrap();
        assert_eq!(Config::find(&bzimage, "6.1").unwrap().setting("KEXEC"), Setting::Off);
    }
}
