//! Debian's kernels: the newest of each series that the archive has. They are those for cloud
//! machines, and for the laboratory one for every machine.
//!
//! * On exit: a vmlinuz, its modules, the driver for virtio-mem if it has one, and its release as
//!   `uname -r` prints it. No point release is named here, because it leaves the archive when the
//!   next one arrives.

use std::path::Path;

use anyhow::{Context, Result};
use qemu_runner::assets::Kernel;

use super::apt::{Package, Release, Root};
use super::{Name, Supply};

/// A kernel series, and the release that has it.
pub struct Series {
    /// As in the manifest and on the command line.
    pub name: &'static str,
    /// The part of the set-up that fetches it.
    pub part: Name,
    /// Whether the gate needs it. Backports may have moved on to another series.
    pub required: bool,
    release: Release,
    backported: bool,
    /// Depends on the newest kernel of a suite.
    newest: &'static str,
    /// How its release begins.
    number: &'static str,
}

/// 6.1 is before crash hotplug, 6.12 has it, 7 is the newest that Debian builds for its stable
/// release. `full` is 6.12 with drivers for every machine, nearly all of them modules.
pub const SERIES: [Series; 4] = [
    Series::for_clouds("6.1", Release::Old),
    Series::for_clouds("6.12", Release::Guests),
    Series { required: false, backported: true, ..Series::for_clouds("7", Release::Guests) },
    Series {
        name: "full",
        part: Name::FullKernel,
        required: false,
        newest: NEWEST_FULL,
        ..Series::for_clouds("6.12", Release::Guests)
    },
];

/// A small kernel, without drivers for real hardware.
const NEWEST: &str = "linux-image-cloud-amd64";
/// The kernel that Debian installs by default.
const NEWEST_FULL: &str = "linux-image-amd64";
/// Since 6.19, linux-image-* is empty and linux-binary-* has the vmlinuz.
const PREFIXES: [&str; 2] = ["linux-binary-", "linux-image-"];

/// Since 6.19, its modules, and what is known of them, are in packages of their own.
const MODULES: [&str; 2] = ["linux-modules-", "linux-base-"];

impl Series {
    const fn for_clouds(number: &'static str, release: Release) -> Self {
        let (name, part, newest) = (number, Name::Kernels, NEWEST);
        Self { name, part, required: true, release, backported: false, newest, number }
    }
}

/// Fetches the newest kernel of a series.
pub fn get(supply: &Supply<'_>, tree: &Path, series: &Series) -> Result<Kernel> {
    let root = supply.root(series.release)?;
    let suite = root.backports.as_deref().filter(|_| series.backported);
    let packages = root.closure(&[series.newest], suite)?;
    let (package, release) = carrier(&packages, series.number).with_context(|| {
        format!("{} is not of series {} any more", series.newest, series.number)
    })?;
    let modules = MODULES.map(|prefix| format!("{prefix}{release}"));
    let modules = packages.iter().filter(|package| modules.contains(&package.name)).cloned();
    let wanted: Vec<Package> = modules.chain([package.clone()]).collect();
    root.unpack(&wanted, tree)?;
    let places = [format!("boot/vmlinuz-{release}"), format!("usr/lib/modules/{release}/vmlinuz")];
    let vmlinuz = places.iter().map(|place| tree.join(place)).find(|file| file.is_file());
    let vmlinuz = vmlinuz
        .with_context(|| format!("{} contains no {}", package.spec(), places.join(" and no ")))?;
    let directories = ["usr/lib", "lib"].map(|lib| tree.join(lib).join("modules").join(release));
    let modules = directories.into_iter().find(|at| at.join("modules.builtin").is_file());
    let drivers = modules.as_ref().map(|modules| modules.join("kernel/drivers/virtio"));
    let drivers = drivers.into_iter().flat_map(|drivers| {
        ["ko.xz", "ko"].map(|ending| drivers.join(format!("virtio_mem.{ending}")))
    });
    let virtio_mem = drivers.into_iter().find(|file| file.is_file());
    Ok(Kernel { vmlinuz, release: release.to_owned(), virtio_mem, modules })
}

/// The newest kernel of a series in the guests' release: its package, and its release.
pub fn newest(root: &Root<'_>, series: &str) -> Result<(Package, String)> {
    let packages = root.closure(&[NEWEST], None)?;
    let found = carrier(&packages, series);
    let (package, release) =
        found.with_context(|| format!("{NEWEST} is not of series {series} any more"))?;
    Ok((package.clone(), release.to_owned()))
}

/// The package with a series' vmlinuz, and the release in its name.
fn carrier<'a>(packages: &'a [Package], series: &str) -> Option<(&'a Package, &'a str)> {
    PREFIXES.iter().find_map(|prefix| {
        packages.iter().find_map(|package| {
            let release = package.name.strip_prefix(prefix)?;
            release.strip_prefix(series)?.starts_with('.').then_some((package, release))
        })
    })
}
