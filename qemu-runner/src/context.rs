//! What scenarios are run with: assets, build results, and how the caller wants them run.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::assets::shared::Shared;
use crate::assets::{
    Assets, Browser, DebianDisk, GuestProgram, Kernel, MANIFEST, Ovmf, Part, Readers,
};
use crate::error::Error;
use crate::host;
use crate::machine::checkpoint::Checkpoints;

pub use crate::assets::kernel::KernelUnderTest;
use crate::assets::kernel::Modules;

/// The kernel series of scenarios that do not ask for one: the first long-term series with
/// CRASH_HOTPLUG.
pub const DEFAULT_SERIES: &str = "6.12";
/// Linux 6.12 with drivers for every machine. The others are for cloud machines.
pub const FULL: &str = "full";

/// Where `cargo xtask build` puts the loader under test; this and the rest relative to the
/// repository's root.
pub(crate) const LOADER: &str = "target/dist/kdump-loader";
/// What runs in guests: puts a known page into memory, watches whether the guest is protected, and
/// panics it at a drawn time.
pub(crate) const SENTINEL: &str = "target/dist/sentinel";
pub(crate) const POLLER: &str = "target/dist/poller";
pub(crate) const TRIGGER: &str = "target/dist/trigger";
/// The purgatory that is in the loader, with symbols.
pub(crate) const PURGATORY: &str = "target/dist/purgatory.debug";
/// The purgatory for Linux as it ships: it has no console.
pub const LINUX_DROP_IN: &str = "target/dist/purgatory-linux.ro";
/// Linux's purgatory with COM1 for its console, which is not shipped.
pub const LINUX_DROP_IN_WITH_CONSOLE: &str = "target/drop-in/purgatory-linux-com1.ro";
/// The same, but it resets the machine when something is corrupt.
pub const LINUX_DROP_IN_RESETTING: &str = "target/drop-in/purgatory-linux-com1-reset.ro";
/// The purgatory for kexec-tools, and the same with names for its functions.
pub const KEXEC_TOOLS_DROP_IN: &str = "target/dist/purgatory-kexec-tools.ro";
pub(crate) const KEXEC_TOOLS_DROP_IN_SYMBOLS: &str = "target/dist/purgatory-kexec-tools.debug";
/// Where `cargo xtask qemu bare` puts crash kernel and capture payload.
const BARE: &str = "target/bare";
/// Where runs leave their logs.
const RUNS: &str = "target/qemu";

/// Everything that is the same for every scenario of one invocation.
#[derive(Clone, Debug)]
pub struct Context {
    root: PathBuf,
    assets: Option<Assets>,
    series: String,
    keep: bool,
    keeps_dump: bool,
    under_test: Option<Arc<KernelUnderTest>>,
    checkpoints: Option<Arc<Checkpoints>>,
}

impl Context {
    /// The context of the repository at `root`. `kernel` replaces the default series in scenarios
    /// that leave it open; `keep` leaves the guests' memory and archives under `target/qemu/` for a
    /// look.
    pub fn from_repo(root: &Path, kernel: Option<&str>, keep: bool) -> Result<Self, Error> {
        let path = root.join(MANIFEST);
        let assets = if path.exists() {
            let text = fs::read_to_string(&path).map_err(Error::file("read", &path))?;
            Some(serde_json::from_str(&text).map_err(|error| {
                Error::Host(format!("{MANIFEST}: {error}; `cargo xtask setup` rewrites it"))
            })?)
        } else {
            None
        };
        let series = kernel.unwrap_or(DEFAULT_SERIES).to_owned();
        Ok(Self {
            root: root.to_owned(),
            assets,
            series,
            keep,
            keeps_dump: false,
            under_test: None,
            checkpoints: None,
        })
    }

    /// The same with one kernel in place of every kernel of Debian's: the first kernel and the
    /// capture kernel of every scenario, storm and panic.
    pub fn with_kernel(self, kernel: KernelUnderTest) -> Self {
        Self { under_test: Some(Arc::new(kernel)), ..self }
    }

    /// The same with another kexec-tools than Debian's.
    pub fn with_kexec(self, kexec: GuestProgram) -> Self {
        let assets = self.assets.map(|assets| Assets { kexec: Part::Present(kexec), ..assets });
        Self { assets, ..self }
    }

    /// The same, but every vmcore that is found complete stays as `vmcore` under `target/qemu/`.
    pub fn with_dumps_kept(self) -> Self {
        Self { keeps_dump: true, ..self }
    }

    /// The kernel that replaces Debian's, if there is one.
    pub fn under_test(&self) -> Option<&KernelUnderTest> {
        self.under_test.as_deref()
    }

    /// The same, but that of machines which boot alike only the first few do: when the second has
    /// booted, later ones continue from there. What is kept for that is removed with the last clone
    /// of this context.
    pub fn with_checkpoints(self) -> Result<Self, Error> {
        let checkpoints = Checkpoints::within(self.shared_directory("checkpoints-")?);
        Ok(Self { checkpoints: Some(Arc::new(checkpoints)), ..self })
    }

    /// The series of scenarios that do not ask for one.
    pub fn series(&self) -> &str {
        &self.series
    }

    /// Machines that have booted, if there are to be any.
    pub(crate) fn checkpoints(&self) -> Option<&'_ Checkpoints> {
        self.checkpoints.as_deref()
    }

    /// Whether to keep memory and archives.
    pub fn keep(&self) -> bool {
        self.keep
    }

    /// Whether to keep dumps.
    pub(crate) fn keeps_dump(&self) -> bool {
        self.keeps_dump
    }

    /// The assets; an error when `cargo xtask setup` has not run.
    pub fn assets(&self) -> Result<&Assets, Error> {
        self.assets
            .as_ref()
            .ok_or_else(|| Error::Missing(format!("{MANIFEST} is absent; run `cargo xtask setup`")))
    }

    /// The static busybox of the guests.
    pub fn busybox(&self) -> Result<&Path, Error> {
        let busybox = self.assets()?.busybox.as_deref();
        busybox.ok_or_else(|| {
            Error::Missing("busybox is not among the assets; run `cargo xtask setup`".into())
        })
    }

    /// The kernel of a series, or the kernel under test in its place.
    pub fn kernel(&self, series: &str) -> Result<&Kernel, Error> {
        if let Some(under_test) = self.under_test() {
            return Ok(&under_test.kernel);
        }
        match self.assets()?.kernels.get(series) {
            Some(kernel) => present(kernel),
            None => Err(Error::Missing(format!(
                "there is no kernel of series {series} among the assets"
            ))),
        }
    }

    /// The modules of the kernel of a series, or of the kernel under test.
    pub(crate) fn modules(&self, series: &str) -> Result<Cow<'_, Modules>, Error> {
        if let Some(kernel) = self.under_test() {
            let known = kernel.modules.as_ref();
            return known.map(Cow::Borrowed).ok_or_else(|| {
                Error::Unfit("its modules are unknown; pass them with --modules".into())
            });
        }
        let Kernel { release, modules, .. } = self.kernel(series)?;
        let modules = modules.as_ref().ok_or_else(|| {
            Error::Missing(format!(
                "the modules of kernel {release} are not known: `cargo xtask setup` fetches them"
            ))
        })?;
        Modules::open(modules, release).map(Cow::Owned)
    }

    /// The modules of the open series for virtio-mem, in the order in which they must be loaded.
    pub fn virtio_mem(&self, series: &str) -> Result<Vec<PathBuf>, Error> {
        if let Some(kernel) = self.under_test() {
            let mut files = kernel.driver("VIRTIO_PCI", "virtio_pci")?;
            files.extend(kernel.driver("VIRTIO_MEM", "virtio_mem")?);
            let mut seen = BTreeSet::new();
            files.retain(|file| seen.insert(file.clone()));
            return Ok(files);
        }
        let Kernel { release, virtio_mem, .. } = self.kernel(series)?;
        let file = virtio_mem.clone().ok_or_else(|| {
            Error::Missing(format!(
                "no module virtio_mem is known for kernel {release}: `cargo xtask setup --refresh` \
                 looks for it"
            ))
        })?;
        Ok(vec![file])
    }

    /// What makes an ext4 filesystem, on this machine.
    pub fn mke2fs(&self) -> Result<&GuestProgram, Error> {
        present(&self.assets()?.mke2fs)
    }

    /// The same for xfs.
    pub fn mkfs_xfs(&self) -> Result<&GuestProgram, Error> {
        present(&self.assets()?.mkfs_xfs)
    }

    /// A program or an image of the bare-metal harness, by name.
    pub(crate) fn bare(&self, name: &str) -> Result<PathBuf, Error> {
        self.built(&format!("{BARE}/{name}"))
    }

    /// The directory of this name, relative to the repository's root, made if necessary.
    pub(crate) fn directory(&self, relative: &str) -> Result<PathBuf, Error> {
        let directory = self.root.join(relative);
        host::make(&directory)?;
        Ok(directory)
    }

    /// A directory for what this run's scenarios share, whose name begins so.
    pub(crate) fn shared_directory(&self, prefix: &str) -> Result<Shared, Error> {
        Shared::below(&self.directory(RUNS)?, prefix)
    }

    /// An empty directory for the logs and files of a scenario.
    pub(crate) fn fresh_directory(&self, scenario: &str) -> Result<PathBuf, Error> {
        let directory = self.root.join(RUNS).join(scenario);
        if directory.exists() {
            fs::remove_dir_all(&directory).map_err(Error::file("empty", &directory))?;
        }
        host::make(&directory)?;
        Ok(directory)
    }

    /// The bytes of a file that the build makes.
    pub(crate) fn read_built(&self, relative: &str) -> Result<Vec<u8>, Error> {
        let path = self.built(relative)?;
        host::read(&path)
    }

    /// A file that the build makes, at this path relative to the repository's root.
    pub(crate) fn built(&self, relative: &str) -> Result<PathBuf, Error> {
        let path = self.root.join(relative);
        if path.exists() {
            Ok(path)
        } else {
            Err(Error::Missing(format!("{relative} is absent; run `cargo xtask build`")))
        }
    }
}

impl Context {
    /// makedumpfile for the capture kernel's user space. Debian 13's, unless setup was asked for a
    /// newer one.
    pub(crate) fn makedumpfile(&self) -> Result<&GuestProgram, Error> {
        self.new_makedumpfile().or_else(|_| present(&self.assets()?.makedumpfile))
    }
}

/// One accessor for each asset that may be missing: `Error::Missing` gives the reason.
macro_rules! assets {
    ($($visible:vis $name:ident: $type:ty;)*) => {
        impl Context {$(
            #[doc = concat!("The asset `", stringify!($name), "` of [`Assets`].")]
            $visible fn $name(&self) -> Result<&$type, Error> {
                present(&self.assets()?.$name)
            }
        )*}
    };
}

assets! {
    pub kexec: GuestProgram;
    pub(crate) udev: GuestProgram;
    pub(crate) flock: GuestProgram;
    pub(crate) ovmf: Ovmf;
    pub(crate) debian_disk: DebianDisk;
    pub browser: Browser;
    pub readers: Readers;
    pub new_makedumpfile: GuestProgram;
}

/// The part itself, or the reason why it is absent.
fn present<T>(part: &Part<T>) -> Result<&T, Error> {
    match part {
        Part::Present(value) => Ok(value),
        Part::Missing(reason) => Err(Error::Missing(reason.clone())),
    }
}
