//! The drop-ins: our purgatory in place of those of Linux and kexec-tools.
//!
//! * On entry: cargo has linked the programs.
//! * On exit: `target/dist/` has `purgatory-linux.ro` and `purgatory-kexec-tools.ro`, objects like
//!   the hosts' own, each beside its linked program with symbols.

use std::path::PathBuf;

use anyhow::{Context, Result};
use handoff::OnCorrupt;
use loader::purgatory::foreign::{Contract, KEXEC_TOOLS, LINUX, STACK_END};

use super::relocatable;
use super::{PURGATORY, copy_if_changed, place, write_if_changed};
use crate::repository::{Repository, read};

/// The entry point, which newer kernels look up by this name.
pub const ENTRY: &str = "purgatory_start";
/// The function that verifies and returns. The hosts' own purgatories have it too.
const VERIFIES: &str = "purgatory";
/// The symbols to which [`Settings`] are written.
const ON_CORRUPT: &str = "purgatory_on_corrupt";
const CONSOLE: &str = "purgatory_console";
/// Linux's drop-ins for tests, with COM1 as console: the file, relative to the repository's root,
/// and the action on corruption.
const FOR_TESTS: [(&str, OnCorrupt); 2] = [
    (qemu_runner::context::LINUX_DROP_IN_WITH_CONSOLE, OnCorrupt::Halt),
    (qemu_runner::context::LINUX_DROP_IN_RESETTING, OnCorrupt::Reset),
];
/// COM1.
const COM1: u16 = 0x3f8;

/// A drop-in, and the host whose purgatory it replaces.
#[derive(Debug)]
pub struct DropIn {
    /// The program, and with `.ro` the object.
    pub program: &'static str,
    /// The symbols that the host's loader writes.
    contract: &'static Contract,
    /// Its other symbols.
    more: &'static [&'static str],
    /// The limit of the object in bytes.
    pub max_file: u64,
}

pub const DROP_INS: [DropIn; 2] = [
    DropIn {
        program: "purgatory-linux",
        contract: &LINUX,
        more: &[VERIFIES, ON_CORRUPT, CONSOLE],
        // The size of the purgatory in Debian's Linux 6.12.118. That of 7.2 has 17 032 bytes.
        max_file: 15_856,
    },
    DropIn {
        program: "purgatory-kexec-tools",
        contract: &KEXEC_TOOLS,
        more: &[VERIFIES, ON_CORRUPT, "jump_back_entry"],
        // The size of the purgatory in Debian's kexec-tools 2.0.29. That of upstream 2.0.32 has 42
        // 736.
        max_file: 35_744,
    },
];

/// Settings of drop-ins, which no host's loader passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::Args)]
pub struct Settings {
    /// Port of the UART on which Linux's drop-in prints, such as 0x3f8 [default: none]
    #[arg(long, value_name = "PORT", value_parser = port)]
    pub linux_console: Option<u16>,
    /// What drop-ins do if a segment is corrupt: halt, as the hosts' own purgatories do, or reset
    #[arg(long, value_name = "halt|reset", default_value = "halt", value_parser = on_corrupt)]
    pub drop_in_on_corrupt: OnCorrupt,
}

impl Default for Settings {
    fn default() -> Self {
        Self { linux_console: None, drop_in_on_corrupt: OnCorrupt::Halt }
    }
}

impl DropIn {
    pub fn object(&self, repo: &Repository) -> PathBuf {
        repo.dist().join(self.program).with_extension("ro")
    }

    pub fn debug(&self, repo: &Repository) -> PathBuf {
        repo.dist().join(self.program).with_extension("debug")
    }

    /// Every symbol that the host's loader writes, and its size.
    pub fn written(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
        self.contract.written.iter().map(|written| (written.symbol, written.len))
    }

    /// Every global symbol of the object.
    pub fn symbols(&self) -> impl Iterator<Item = &'static str> {
        [ENTRY, STACK_END]
            .into_iter()
            .chain(self.written().map(|(name, _)| name))
            .chain(self.more.iter().copied())
    }

    fn object_of(&self, linked: &[u8], settings: &Settings) -> Result<Vec<u8>> {
        let mut image = relocatable::Image::of(linked)?;
        image.set(ON_CORRUPT, &[settings.drop_in_on_corrupt as u8])?;
        if let Some(port) = settings.linux_console.filter(|_| self.more.contains(&CONSOLE)) {
            image.set(CONSOLE, &port.to_le_bytes())?;
        }
        image.object(ENTRY, self.symbols())
    }
}

pub fn build(repo: &Repository, settings: &Settings) -> Result<()> {
    for drop_in in &DROP_INS {
        let linked = place(repo, &PURGATORY).with_file_name(drop_in.program);
        copy_if_changed(&linked, &drop_in.debug(repo))?;
        let program = read(&linked)?;
        let made = |settings: &Settings| {
            drop_in
                .object_of(&program, settings)
                .with_context(|| format!("cannot make an object of {}", linked.display()))
        };
        write_if_changed(&made(settings)?, &drop_in.object(repo), 0o644)?;
        for (path, drop_in_on_corrupt) in
            FOR_TESTS.into_iter().filter(|_| drop_in.more.contains(&CONSOLE))
        {
            let path = repo.root.join(path);
            let directory = path.parent().context("it has a directory")?;
            std::fs::create_dir_all(directory)
                .with_context(|| format!("cannot make {}", directory.display()))?;
            let settings = Settings { linux_console: Some(COM1), drop_in_on_corrupt };
            write_if_changed(&made(&settings)?, &path, 0o644)?;
        }
    }
    Ok(())
}

fn port(text: &str) -> Result<u16, String> {
    let digits = text.strip_prefix("0x").ok_or("write the port as 0x3f8")?;
    let port = u16::from_str_radix(digits, 16).map_err(|error| error.to_string())?;
    let usable = 1..=handoff::block::HIGHEST_CONSOLE_PORT;
    if usable.contains(&port) {
        Ok(port)
    } else {
        Err(format!("a UART's first port is between 1 and {:#x}", usable.end()))
    }
}

fn on_corrupt(text: &str) -> Result<OnCorrupt, String> {
    let known = [OnCorrupt::Halt, OnCorrupt::Reset];
    known
        .into_iter()
        .find(|action| action.word() == text)
        .ok_or_else(|| "write halt or reset".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_a_drop_in_cannot_have_are_rejected() {
        assert_eq!(port("0x3f8"), Ok(0x3f8));
        for mistaken in ["3f8", "0", "0x0", "0xfff9", "0x103f8", "ttyS0"] {
            assert!(port(mistaken).is_err(), "{mistaken}");
        }
        assert_eq!(on_corrupt("reset"), Ok(OnCorrupt::Reset));
        assert!(on_corrupt("boot").is_err());
    }
}
