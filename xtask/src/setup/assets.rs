//! The emulator and everything that guests need, part by part, in the asset manifest of the QEMU
//! runner.
//!
//! * On exit: the manifest names every wanted part, or says why it is missing. Other parts are
//!   unchanged.
//!
//! The manifest is also the memory of earlier runs: a part that it names is fetched again only if
//! one of its files is gone. A manifest that a person has written serves as well.

mod rows; // the parts as lines of output

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, bail};
use clap::ValueEnum;
use qemu_runner::assets::{Assets, GuestProgram, MANIFEST, Part};
use serde::Serialize;
use serde_json::Value;
use xshell::Shell;

use super::{Name, Supply, browser, debian_disk, kernels, lock, program, qemu, readers};
use crate::repository::Repository;
pub use rows::{demand, print};

/// The command that looks again for missing parts.
const LOOK_AGAIN: &str = "cargo xtask setup --refresh";

/// Fetches the wanted parts that are missing, with `refresh` all of them, and writes the manifest.
pub fn get(
    sh: &Shell,
    repo: &Repository,
    refresh: bool,
    wanted: impl Fn(Name) -> bool,
) -> Result<Assets> {
    let _lock = lock(sh, repo)?;
    let manifest = repo.root.join(MANIFEST);
    let known = std::fs::read(&manifest).ok().and_then(|text| serde_json::from_slice(&text).ok());
    let fetch = Fetch { supply: Supply::new(sh, repo), refresh, wanted: &wanted };
    let assets = fetch.all(known.as_ref())?;
    sh.write_file(manifest, serde_json::to_string_pretty(&assets)?)?;
    Ok(assets)
}

struct Fetch<'a> {
    supply: Supply<'a>,
    refresh: bool,
    wanted: &'a dyn Fn(Name) -> bool,
}

impl Fetch<'_> {
    fn all(&self, old: Option<&Assets>) -> Result<Assets> {
        let supply = &self.supply;
        let known = old.map(|old| Part::Present(old.qemu.clone()));
        let qemu = self.part(Name::Qemu, "qemu", known.as_ref(), |tree| qemu::get(supply, tree));
        let qemu = match qemu {
            Part::Present(qemu) => qemu,
            Part::Missing(reason) => bail!("there is no emulator: {reason}"),
        };
        let known = old.and_then(|old| old.busybox.clone()).map(Part::Present);
        let busybox = self
            .part(Name::Busybox, "busybox", known.as_ref(), |tree| program::busybox(supply, tree));
        let mut all = BTreeMap::new();
        for series in &kernels::SERIES {
            // An earlier release fetched no modules.
            let known = old
                .and_then(|old| old.kernels.get(series.name))
                .filter(|known| matches!(known, Part::Present(kernel) if kernel.modules.is_some()));
            let label = format!("kernel-{}", series.name);
            let get = |tree: &Path| kernels::get(supply, tree, series);
            all.insert(series.name.to_string(), self.part(series.part, &label, known, get));
        }
        let program = |part, package, program, known: fn(&Assets) -> &Part<GuestProgram>| {
            let get = |tree: &Path| program::get(supply, tree, package, program);
            self.part(part, program, old.map(known), get)
        };
        let disk = old.map(|old| &old.debian_disk).filter(
            |disk| matches!(disk, Part::Present(disk) if disk.recipe == debian_disk::recipe()),
        );
        Ok(Assets {
            qemu,
            busybox: match busybox {
                Part::Present(busybox) => Some(busybox),
                Part::Missing(_) => None,
            },
            kernels: all,
            makedumpfile: program(Name::Makedumpfile, "makedumpfile", "makedumpfile", |old| {
                &old.makedumpfile
            }),
            kexec: program(Name::Kexec, "kexec-tools", "kexec", |old| &old.kexec),
            udev: program(Name::Udev, "udev", "udevadm", |old| &old.udev),
            flock: program(Name::Flock, "util-linux", "flock", |old| &old.flock),
            mke2fs: program(Name::Mke2fs, "e2fsprogs", "mke2fs", |old| &old.mke2fs),
            mkfs_xfs: program(Name::MkfsXfs, "xfsprogs", "mkfs.xfs", |old| &old.mkfs_xfs),
            ovmf: self.part(Name::Ovmf, "ovmf", old.map(|old| &old.ovmf), |tree| {
                program::ovmf(supply, tree)
            }),
            browser: self.part(Name::Browser, "browser", old.map(|old| &old.browser), |tree| {
                browser::get(supply, tree)
            }),
            debian_disk: self
                .part(Name::DebianDisk, "debian-disk", disk, |tree| debian_disk::get(supply, tree)),
            readers: self.part(Name::Readers, "readers", old.map(|old| &old.readers), |tree| {
                readers::get(supply, tree)
            }),
            new_makedumpfile: self.part(
                Name::NewMakedumpfile,
                "new-makedumpfile",
                old.map(|old| &old.new_makedumpfile),
                |tree| readers::new_makedumpfile(supply, tree),
            ),
        })
    }

    /// A part: as known, or fetched by `get` into the directory that it is given. A failure does
    /// not stop the others: [`demand`] decides which parts may be missing.
    fn part<T: Serialize + Clone>(
        &self,
        part: Name,
        name: &str,
        known: Option<&Part<T>>,
        get: impl FnOnce(&Path) -> Result<T>,
    ) -> Part<T> {
        let is_wanted = (self.wanted)(part) || part == Name::Qemu;
        let complete = known.filter(|known| is_complete(known));
        match complete {
            Some(known) if !(is_wanted && self.refresh) => return known.clone(),
            _ if !is_wanted => {
                let only = part.to_possible_value().filter(|_| part.is_for_the_laboratory());
                let only =
                    only.map_or(String::new(), |only| format!(" --only {}", only.get_name()));
                return Part::Missing(format!(
                    "{name} was left out; run `cargo xtask setup{only}`"
                ));
            }
            _ => {}
        }
        eprintln!("{name}: fetching it");
        match get(&self.supply.repo.assets().join(name)) {
            Ok(part) => Part::Present(part),
            Err(error) => {
                eprintln!("  missing: {error:#}");
                Part::Missing(format!("{error:#}; `{LOOK_AGAIN}` looks again"))
            }
        }
    }
}

/// Whether a part is present with all its files. Their paths are below target/assets.
fn is_complete(part: &Part<impl Serialize>) -> bool {
    fn exist(value: &Value) -> bool {
        match value {
            Value::String(text) => !text.contains("/target/assets/") || Path::new(text).exists(),
            Value::Array(values) => values.iter().all(exist),
            Value::Object(fields) => fields.values().all(exist),
            _ => true,
        }
    }
    let Part::Present(part) = part else { return false };
    serde_json::to_value(part).is_ok_and(|value| exist(&value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use qemu_runner::assets::{Kernel, Ovmf, Qemu};

    /// A repository whose manifest names an emulator, a busybox, and kernels that do not exist.
    fn repository(sh: &Shell, root: &Path) -> Repository {
        let repo = Repository { root: root.to_path_buf() };
        let at = |name: &str| repo.assets().join(name);
        let missing = || Part::<GuestProgram>::Missing("no".into());
        let kernel = Kernel {
            vmlinuz: at("vmlinuz"),
            release: "6.12".into(),
            virtio_mem: None,
            modules: None,
        };
        let qemu = Qemu {
            program: at("qemu"),
            library_path: vec![],
            data_dirs: vec![],
            version: "10".into(),
        };
        let assets = Assets {
            qemu,
            busybox: Some(at("busybox")),
            kernels: BTreeMap::from([("6.12".into(), Part::Present(kernel))]),
            makedumpfile: missing(),
            kexec: missing(),
            udev: missing(),
            flock: missing(),
            mke2fs: missing(),
            mkfs_xfs: missing(),
            ovmf: Part::Present(Ovmf { code: "code".into(), vars: "vars".into() }),
            debian_disk: Part::Missing("no".into()),
            browser: Part::Missing("no".into()),
            readers: Part::Missing("no".into()),
            new_makedumpfile: missing(),
        };
        for name in ["qemu", "busybox"] {
            sh.write_file(at(name), "").unwrap();
        }
        sh.write_file(root.join(MANIFEST), serde_json::to_vec(&assets).unwrap()).unwrap();
        repo
    }

    #[test]
    fn parts_that_are_known_stay_and_a_part_whose_file_is_gone_is_missing() {
        let sh = Shell::new().unwrap();
        let dir = sh.create_temp_dir().unwrap();
        let repo = repository(&sh, dir.path());
        let assets = get(&sh, &repo, false, |name| name == Name::Busybox).unwrap();
        assert_eq!(assets.busybox, Some(repo.assets().join("busybox")));
        assert!(matches!(&assets.kernels["6.12"], Part::Missing(why) if why.contains("left out")));
        assert!(matches!(&assets.ovmf, Part::Present(_)));
        // What is not wanted, and what the gate can do without, may be missing.
        demand(&assets, |name| [Name::Busybox, Name::Ovmf, Name::Browser].contains(&name)).unwrap();
        let error = demand(&assets, |_| true).unwrap_err().to_string();
        let required = [
            "kernel 6.1",
            "kernel 6.12",
            "makedumpfile",
            "kexec-tools",
            "udev",
            "flock",
            "mke2fs",
            "mkfs.xfs",
        ];
        for part in required {
            assert!(error.contains(&format!("  {part}: ")), "{part} is not in {error}");
        }
        for part in ["busybox", "ovmf", "kernel 7", "debian disk", "browser"] {
            assert!(!error.contains(&format!("  {part}: ")), "{part} is in {error}");
        }
    }
}
