//! A kernel that a developer brings: `--bzimage FILE`, with `--modules DIR` if drivers that a
//! scenario needs are modules.
//!
//! It is the first kernel and the capture kernel of every scenario, in place of all of Debian's.
//!
//! *On exit*: its release, and what is known of its configuration and its modules.

mod config; // what it was built with
mod modules; // drivers outside of it
mod depmod; // as they are installed
pub mod payload; // vmlinux inside of a bzImage

use std::fs;
use std::path::{Path, PathBuf};

use loader::request::InputFile;

use crate::assets::Kernel;
use crate::error::Error;
use crate::host;

pub use config::{Config, Setting};
pub(crate) use modules::Modules;

/// `kernel_version` in the setup header: where the release is, less 0x200
/// (Documentation/arch/x86/boot.rst).
const KERNEL_VERSION_AT: usize = 0x20e;
/// What `kernel_version` counts from.
const KERNEL_VERSION_BASE: usize = 0x200;

/// A kernel that scenarios test in place of Debian's.
#[derive(Clone, Debug)]
pub struct KernelUnderTest {
    /// Its file and its release.
    pub kernel: Kernel,
    /// What it was built with, if that is known.
    pub config: Option<Config>,
    /// Drivers outside of it, if they were passed.
    pub(crate) modules: Option<Modules>,
}

impl KernelUnderTest {
    /// Reads the bzImage, finds its configuration, and looks for its modules below `modules`.
    pub fn open(bzimage: &Path, modules: Option<&Path>) -> Result<Self, Error> {
        let vmlinuz = fs::canonicalize(bzimage).map_err(Error::file("find", bzimage))?;
        let bytes = host::read(&vmlinuz)?;
        let file = InputFile { path: vmlinuz.clone(), bytes };
        loader::kernel::parse(&file)
            .map_err(|error| Error::Unfit(format!("{}: {error}", bzimage.display())))?;
        let release = release(&file.bytes).ok_or_else(|| {
            Error::Unfit(format!("{}: its setup header names no release", bzimage.display()))
        })?;
        let modules = modules.map(|directory| Modules::open(directory, &release)).transpose()?;
        let config = Config::find(&file, &release);
        let kernel = Kernel { vmlinuz, release, virtio_mem: None, modules: None };
        Ok(Self { kernel, config, modules })
    }

    /// How `CONFIG_symbol` is set, if that is known.
    pub fn setting(&self, symbol: &str) -> Option<Setting> {
        self.config.as_ref().map(|config| config.setting(symbol))
    }

    /// The modules that must be loaded for a driver, in order: none if the driver is built in.
    /// Otherwise, why it cannot be had.
    pub fn driver(&self, symbol: &str, module: &str) -> Result<Vec<PathBuf>, Error> {
        let built_in = self.modules.as_ref().is_some_and(|modules| modules.is_built_in(module));
        match (self.setting(symbol), &self.modules) {
            (Some(Setting::BuiltIn), _) => Ok(Vec::new()),
            (Some(Setting::Off), _) => Err(Error::Unfit(format!("CONFIG_{symbol} is not set"))),
            (_, Some(_)) if built_in => Ok(Vec::new()),
            (_, Some(modules)) => modules.with_dependencies(module),
            (Some(Setting::Module), None) => Err(Error::Unfit(format!(
                "CONFIG_{symbol}=m; pass the kernel's modules with --modules"
            ))),
            (None, None) => Err(Error::Unfit(format!(
                "whether it has {module} is unknown; build with CONFIG_IKCONFIG=y or pass --modules"
            ))),
        }
    }
}

/// What `uname -r` will print: the first word of the string that the setup header points to.
fn release(bzimage: &[u8]) -> Option<String> {
    let field = bzimage.get(KERNEL_VERSION_AT..KERNEL_VERSION_AT + 2)?.first_chunk()?;
    let at = usize::from(u16::from_le_bytes(*field));
    let text = bzimage.get(at + KERNEL_VERSION_BASE..).filter(|_| at != 0)?;
    let word = text.split(|&byte| byte == 0 || byte == b' ').next()?;
    let word = String::from_utf8(word.to_vec()).ok()?;
    (!word.is_empty()).then_some(word)
}
