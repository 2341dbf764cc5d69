//! Debian's kernels for cloud machines: the newest of each series that the archive has.
//!
//! * On exit: a vmlinuz, its driver for virtio-mem if it has one, and its release as `uname -r`
//!   prints it. No point release is named here, because it leaves the archive when the next one
//!   arrives.

use std::cmp::Ordering;
use std::path::Path;

use anyhow::{Context, Result};
use qemu_runner::assets::Kernel;

use crate::setup::apt::root::{AptRoot, Package};
use crate::setup::apt::suites::Purpose;
use crate::setup::supply::{Found, Supply};

/// A kernel series, and the apt root that has it.
pub struct Series {
    /// As in the manifest and on the command line.
    pub name: &'static str,
    /// Whether the gate needs it. Backports may have moved on to another series.
    pub required: bool,
    purpose: Purpose,
}

/// 6.1 is before crash hotplug, 6.12 has it, 7 is the newest that Debian builds for its stable
/// release.
pub const SERIES: [Series; 3] = [
    Series { name: "6.1", required: true, purpose: Purpose::OldKernel },
    Series { name: "6.12", required: true, purpose: Purpose::Guests },
    Series { name: "7", required: false, purpose: Purpose::Guests },
];

/// Since 6.19, linux-image-* is empty and linux-binary-* has the vmlinuz, below /usr/lib/modules.
/// If both exist, linux-binary-* is taken.
const PREFIXES: [&str; 2] = ["linux-binary-", "linux-image-"];
/// Small kernels without drivers for real hardware. `-dbg` and `-unsigned` have other endings.
const FLAVOUR: &str = "-cloud-amd64";

/// The places of the driver for virtio-mem.
const MODULE_PLACES: [&str; 4] = [
    "usr/lib/modules/RELEASE/kernel/drivers/virtio/virtio_mem.ko.xz",
    "lib/modules/RELEASE/kernel/drivers/virtio/virtio_mem.ko.xz",
    "usr/lib/modules/RELEASE/kernel/drivers/virtio/virtio_mem.ko",
    "lib/modules/RELEASE/kernel/drivers/virtio/virtio_mem.ko",
];

/// Fetches the newest kernel of a series.
pub fn get(supply: &Supply<'_>, tree: &Path, series: &Series) -> Result<Found<Kernel>> {
    let root = supply.root(series.purpose)?;
    let Some(package) = newest(&root, series.name)? else {
        let reason = format!(
            "no package linux-(image|binary)-{}.*{FLAVOUR} in the archive's index",
            series.name
        );
        return Ok(Found::missing(reason));
    };
    let unpacked = tree.with_extension("unpacked");
    supply.unpack(&root, std::slice::from_ref(&package), &unpacked)?;
    let release = release_of(&package.name, series.name)
        .context("a package that was just found by its release")?
        .to_string();
    let places = [format!("boot/vmlinuz-{release}"), format!("usr/lib/modules/{release}/vmlinuz")];
    let found = places.iter().map(|place| unpacked.join(place)).find(|file| file.is_file());
    let found = found
        .with_context(|| format!("{} contains no {}", package.spec(), places.join(" and no ")))?;
    // A guest with busybox needs no other modules.
    let modules = MODULE_PLACES.map(|place| unpacked.join(place.replace("RELEASE", &release)));
    let module = modules.iter().find(|file| file.is_file());
    let vmlinuz = tree.join(format!("vmlinuz-{release}"));
    supply.sh.remove_path(tree)?;
    supply.sh.create_dir(tree)?;
    std::fs::rename(&found, &vmlinuz)
        .with_context(|| format!("cannot move {} to {}", found.display(), vmlinuz.display()))?;
    let virtio_mem = module.and_then(|module| Some(tree.join(module.file_name()?)));
    if let (Some(from), Some(to)) = (module, &virtio_mem) {
        std::fs::rename(from, to)
            .with_context(|| format!("cannot move {} to {}", from.display(), to.display()))?;
    }
    supply.sh.remove_path(unpacked)?;
    Ok(Found::present(Kernel { vmlinuz, release, virtio_mem }, vec![package.spec()]))
}

fn newest(root: &AptRoot<'_>, series: &str) -> Result<Option<Package>> {
    let mut newest: Option<Package> = None;
    for prefix in PREFIXES {
        let names: Vec<String> = root
            .names(&format!("{prefix}{series}."))?
            .into_iter()
            .filter(|name| release_of(name, series).is_some())
            .collect();
        for package in root.show(&names)? {
            match &newest {
                Some(best) if root.compare(&best.version, &package.version)? != Ordering::Less => {}
                _ => newest = Some(package),
            }
        }
    }
    Ok(newest)
}

/// `6.12.9+deb13-cloud-amd64` of `linux-image-6.12.9+deb13-cloud-amd64`, if the series has it.
/// `None` for a meta-package.
fn release_of<'a>(package: &'a str, series: &str) -> Option<&'a str> {
    let release = PREFIXES.iter().find_map(|prefix| package.strip_prefix(prefix))?;
    let point = release.strip_prefix(series)?.strip_prefix('.')?;
    (point.starts_with(|c: char| c.is_ascii_digit()) && release.ends_with(FLAVOUR))
        .then_some(release)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_signed_cloud_kernels_of_the_series_count() {
        assert_eq!(
            release_of("linux-image-6.12.9+deb13-cloud-amd64", "6.12"),
            Some("6.12.9+deb13-cloud-amd64")
        );
        assert_eq!(
            release_of("linux-image-6.1.0-5-cloud-amd64", "6.1"),
            Some("6.1.0-5-cloud-amd64")
        );
        assert_eq!(
            release_of("linux-binary-7.3.4+deb13-cloud-amd64", "7"),
            Some("7.3.4+deb13-cloud-amd64")
        );
        for other in [
            "linux-image-6.12.9+deb13-cloud-amd64-unsigned",
            "linux-image-6.12.9+deb13-cloud-amd64-dbg",
            "linux-image-6.12.9+deb13-amd64",
            "linux-image-6.12-cloud-amd64",
            "linux-image-6.1.0-5-cloud-amd64",
            "linux-binary-unsigned-6.12.9+deb13-cloud-amd64",
        ] {
            assert_eq!(release_of(other, "6.12"), None, "{other}");
        }
    }
}
