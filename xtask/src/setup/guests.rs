//! The emulator and everything that guests need, part by part, and the asset manifest of the QEMU
//! runner.
//!
//! * On exit: the manifest names every wanted part, or says why it is missing. Other parts are
//!   unchanged.

pub mod qemu;
pub mod kernels;
pub mod program; // programs of the guests' user space
pub mod debian_disk;
pub mod browser;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, bail};
use qemu_runner::assets::{Assets, MANIFEST, Part};
use serde::de::DeserializeOwned;
use xshell::Shell;

use crate::repository::Repository;
use crate::setup::by_hand::Unsupported;
use crate::setup::supply::{self, Files, Supply};
use crate::setup::{Name, explain, lock};

/// Fetches the wanted parts and writes the manifest.
pub fn get(
    sh: &Shell,
    repo: &Repository,
    refresh: bool,
    wanted: impl Fn(Name) -> bool,
) -> Result<Assets> {
    let _lock = lock(sh, repo)?;
    let supply = Supply::new(sh, repo, refresh);
    let manifest = repo.root.join(MANIFEST);
    match fetch(&supply, wanted, known(&manifest)) {
        Ok(assets) => {
            sh.write_file(manifest, serde_json::to_string_pretty(&assets)?)?;
            Ok(assets)
        }
        // A manifest written by hand, as the instructions say, serves if all its files exist.
        Err(error) if error.is::<Unsupported>() => {
            let by_hand = known(&manifest)
                .filter(|known| exists(&known.qemu) && rows(known).iter().all(|row| row.complete));
            by_hand.ok_or_else(|| explain(error))
        }
        Err(error) => Err(error),
    }
}

/// Fetches the wanted parts. Other parts stay as they are `known`, even if they were written by
/// hand.
fn fetch(
    supply: &Supply<'_>,
    wanted: impl Fn(Name) -> bool,
    known: Option<Assets>,
) -> Result<Assets> {
    let known = known.as_ref();
    /// Fetches a part if it is wanted. A failure does not stop the others: [`demand`] decides which
    /// parts may be missing.
    macro_rules! part {
        ($wanted:expr, $name:expr, $known:expr, $get:expr) => {
            if wanted($wanted) {
                match supply.provide($name, $get) {
                    Err(error) if error.is::<Unsupported>() => return Err(error),
                    Err(error) => {
                        eprintln!("  {error:#}\n  continuing with the other parts");
                        Part::Missing(format!("{error:#}"))
                    }
                    Ok(part) => part,
                }
            } else {
                kept(supply, $name, $known)
            }
        };
    }
    macro_rules! program {
        ($wanted:expr, $field:ident, $package:expr, $program:expr) => {
            part!($wanted, $package, known.map(|known| &known.$field), |s, tree| program::get(
                s, tree, $package, $program
            ))
        };
    }
    let qemu = required(supply.provide("qemu", qemu::get)?)?;
    let busybox = if wanted(Name::Busybox) {
        Some(required(supply.provide("busybox", program::busybox)?)?)
    } else {
        let remembered = supply.remembered("busybox").map(required).transpose()?;
        remembered.or_else(|| known?.busybox.clone().filter(|busybox| busybox.exists()))
    };
    let mut kernels = BTreeMap::new();
    for series in &kernels::SERIES {
        let (name, known) = (
            format!("kernel-{}", series.name),
            known.and_then(|known| known.kernels.get(series.name)),
        );
        let part = part!(Name::Kernels, &name, known, |s, tree| kernels::get(s, tree, series));
        kernels.insert(series.name.to_string(), part);
    }
    Ok(Assets {
        qemu,
        busybox,
        kernels,
        makedumpfile: program!(Name::Makedumpfile, makedumpfile, "makedumpfile", "makedumpfile"),
        kexec: program!(Name::Kexec, kexec, "kexec-tools", "kexec"),
        udev: program!(Name::Udev, udev, "udev", "udevadm"),
        flock: part!(Name::Flock, "flock", known.map(|known| &known.flock), |s, tree| {
            program::get(s, tree, "util-linux", "flock")
        }),
        ovmf: part!(Name::Ovmf, "ovmf", known.map(|known| &known.ovmf), program::ovmf),
        browser: part!(Name::Browser, "browser", known.map(|known| &known.browser), browser::get),
        // Last: where the disk can be made at all, a failure is one of the whole set-up.
        debian_disk: if wanted(Name::DebianDisk) {
            supply.provide(debian_disk::NAME, debian_disk::get)?
        } else {
            kept(supply, debian_disk::NAME, known.map(|known| &known.debian_disk))
        },
    })
}

/// A part that is not wanted now: as fetched earlier, or as written by hand.
fn kept<T: Files + Clone + DeserializeOwned>(
    supply: &Supply<'_>,
    name: &str,
    known: Option<&Part<T>>,
) -> Part<T> {
    let left_out = || Part::Missing(format!("{name} was left out; run `cargo xtask setup`"));
    let by_hand =
        || known.filter(|part| matches!(part, Part::Present(found) if exists(found))).cloned();
    supply.remembered(name).or_else(by_hand).unwrap_or_else(left_out)
}

/// The manifest, as an earlier run or a person has written it.
fn known(manifest: &Path) -> Option<Assets> {
    serde_json::from_slice(&std::fs::read(manifest).ok()?).ok()
}

fn exists(part: &impl Files) -> bool {
    part.files().iter().all(|file| file.exists())
}

fn required<T>(part: Part<T>) -> Result<T> {
    match part {
        Part::Present(part) => Ok(part),
        Part::Missing(reason) => bail!(reason),
    }
}

/// A part as a line of output.
struct Row {
    part: Name,
    label: String,
    /// Its version and place, or why it is missing.
    found: Result<String, String>,
    /// Whether the gate fails without it. The newest kernels, whose series comes from backports,
    /// the disk, which takes root to make, and the browser may be missing. Their tests are then
    /// ignored, with the reason.
    required: bool,
    /// Whether a manifest written by hand may have it: its files exist, or it is declared missing.
    complete: bool,
}

impl Row {
    fn new<T: Files>(
        part: Name,
        label: &str,
        found: &Part<T>,
        required: bool,
        text: impl Fn(&T) -> String,
    ) -> Self {
        let (found, complete) = match found {
            Part::Present(found) => (Ok(text(found)), exists(found)),
            Part::Missing(reason) => (Err(reason.clone()), true),
        };
        Self { part, label: label.to_owned(), found, required, complete }
    }
}

/// All parts except the emulator, without which there are no assets.
fn rows(assets: &Assets) -> Vec<Row> {
    fn not_named<T>() -> Part<T> {
        Part::Missing("it is not among the assets; run `cargo xtask setup`".into())
    }
    let busybox = assets.busybox.clone().map_or_else(not_named, Part::Present);
    let mut rows =
        vec![Row::new(Name::Busybox, "busybox", &busybox, true, |file| file.display().to_string())];
    for series in &kernels::SERIES {
        let kernel = assets.kernels.get(series.name).cloned().unwrap_or_else(not_named);
        let label = format!("kernel {}", series.name);
        let text = |kernel: &qemu_runner::assets::Kernel| {
            format!("{}: {}", kernel.release, kernel.vmlinuz.display())
        };
        rows.push(Row::new(Name::Kernels, &label, &kernel, series.required, text));
    }
    for (name, label, program) in [
        (Name::Makedumpfile, "makedumpfile", &assets.makedumpfile),
        (Name::Kexec, "kexec-tools", &assets.kexec),
        (Name::Udev, "udev", &assets.udev),
        (Name::Flock, "flock", &assets.flock),
    ] {
        rows.push(Row::new(name, label, program, true, |p| {
            format!("{}, {} files", p.version, p.files.len())
        }));
    }
    rows.push(Row::new(Name::Ovmf, "ovmf", &assets.ovmf, true, |ovmf| {
        ovmf.code.display().to_string()
    }));
    rows.push(Row::new(Name::Browser, "browser", &assets.browser, false, |b| {
        format!("{}: {}", b.version, b.program.display())
    }));
    rows.push(Row::new(Name::DebianDisk, "debian disk", &assets.debian_disk, false, |disk| {
        format!(
            "{} packages, {}: {}",
            disk.packages.len(),
            disk.kernel.release,
            disk.image.display()
        )
    }));
    rows
}

/// Fails unless every wanted part that the gate needs is present.
pub fn demand(assets: &Assets, wanted: impl Fn(Name) -> bool) -> Result<()> {
    let rows = rows(assets).into_iter().filter(|row| row.required && wanted(row.part));
    let missing: Vec<String> =
        rows.filter_map(|row| Some(format!("  {}: {}", row.label, row.found.err()?))).collect();
    if missing.is_empty() {
        return Ok(());
    }
    bail!(
        "scenarios need parts that are missing:\n{}\nIs this machine online? Then run `{}`.",
        missing.join("\n"),
        supply::LOOK_AGAIN
    )
}

/// Prints every part, one line each.
pub fn print(assets: &Assets) {
    println!("{:<13} {}: {}", "qemu", assets.qemu.version, assets.qemu.program.display());
    for row in rows(assets) {
        match row.found {
            Ok(text) => println!("{:<13} {text}", row.label),
            Err(reason) => println!("{:<13} missing: {reason}", row.label),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use qemu_runner::assets::{GuestProgram, Kernel, Ovmf, Qemu};

    fn complete() -> Assets {
        let kernel = || {
            Part::Present(Kernel {
                vmlinuz: "vmlinuz".into(),
                release: "6.12".into(),
                virtio_mem: None,
            })
        };
        let program = || {
            Part::Present(GuestProgram {
                version: "1".into(),
                files: BTreeMap::new(),
                program: "/bin/p".into(),
            })
        };
        Assets {
            qemu: Qemu {
                program: "qemu".into(),
                library_path: vec![],
                data_dirs: vec![],
                version: "10".into(),
            },
            busybox: Some("busybox".into()),
            kernels: kernels::SERIES
                .iter()
                .map(|series| (series.name.to_string(), kernel()))
                .collect(),
            makedumpfile: program(),
            kexec: program(),
            udev: program(),
            flock: program(),
            ovmf: Part::Present(Ovmf { code: "code".into(), vars: "vars".into() }),
            debian_disk: Part::Missing("no root".into()),
            browser: Part::Missing("no browser".into()),
        }
    }

    #[track_caller]
    fn rejected_without(part: &str, make: impl Fn(&mut Assets)) {
        let mut assets = complete();
        make(&mut assets);
        let error = demand(&assets, |_| true).unwrap_err().to_string();
        assert!(
            error.contains(&format!("  {part}: ")) && error.contains(supply::LOOK_AGAIN),
            "{error}"
        );
        // A part that is not wanted may be missing.
        demand(&assets, |name| name == Name::Qemu).unwrap();
    }

    #[test]
    fn a_missing_part_is_reported_by_name() {
        demand(&complete(), |_| true).unwrap();
        rejected_without("busybox", |assets| assets.busybox = None);
        rejected_without("makedumpfile", |assets| assets.makedumpfile = Part::Missing("no".into()));
        rejected_without("kexec-tools", |assets| assets.kexec = Part::Missing("no".into()));
        rejected_without("udev", |assets| assets.udev = Part::Missing("no".into()));
        rejected_without("flock", |assets| assets.flock = Part::Missing("no".into()));
        rejected_without("ovmf", |assets| assets.ovmf = Part::Missing("no".into()));
        for series in ["6.1", "6.12"] {
            rejected_without(&format!("kernel {series}"), |assets| {
                assets.kernels.insert(series.into(), Part::Missing("no".into()));
            });
            rejected_without(&format!("kernel {series}"), |assets| {
                drop(assets.kernels.remove(series))
            });
        }
    }

    /// A repository with the emulator, and with `assets` as its manifest.
    fn repository(root: &Path, assets: Option<&Assets>) -> Repository {
        let repo = Repository { root: root.to_path_buf() };
        std::fs::create_dir_all(repo.assets()).unwrap();
        let program = repo.assets().join("qemu");
        std::fs::write(&program, "").unwrap();
        let qemu = Qemu { program, library_path: vec![], data_dirs: vec![], version: "10".into() };
        supply::remember(&repo, "qemu", Part::Present(qemu)).unwrap();
        if let Some(assets) = assets {
            std::fs::write(root.join(MANIFEST), serde_json::to_vec(assets).unwrap()).unwrap();
        }
        repo
    }

    #[test]
    fn the_emulator_can_be_set_up_alone() {
        let sh = Shell::new().unwrap();
        let dir = sh.create_temp_dir().unwrap();
        let repo = repository(dir.path(), None);
        get(&sh, &repo, false, |name| name == Name::Qemu).unwrap();
        let assets = known(&dir.path().join(MANIFEST)).unwrap();
        assert_eq!(assets.busybox, None);
        assert_eq!(assets.kernels.len(), kernels::SERIES.len());
        let error = demand(&assets, |_| true).unwrap_err().to_string();
        for part in ["busybox", "kernel 6.12", "kexec-tools"] {
            assert!(error.contains(&format!("  {part}: ")), "{error}");
        }
    }

    #[test]
    fn a_part_that_is_not_wanted_stays_as_written_by_hand() {
        let sh = Shell::new().unwrap();
        let dir = sh.create_temp_dir().unwrap();
        let (vmlinuz, busybox) = (dir.path().join("vmlinuz"), dir.path().join("busybox"));
        let mut written = complete();
        let kernel = Part::Present(Kernel {
            vmlinuz: vmlinuz.clone(),
            release: "6.12".into(),
            virtio_mem: None,
        });
        written.kernels.insert("6.12".into(), kernel);
        written.busybox = Some(busybox.clone());
        let repo = repository(dir.path(), Some(&written));
        for file in [&vmlinuz, &busybox] {
            std::fs::write(file, "").unwrap();
        }
        get(&sh, &repo, false, |name| name == Name::Qemu).unwrap();
        let assets = known(&dir.path().join(MANIFEST)).unwrap();
        assert!(
            matches!(&assets.kernels["6.12"], Part::Present(kernel) if kernel.vmlinuz == vmlinuz)
        );
        assert_eq!(assets.busybox, Some(busybox));
        // Its file does not exist.
        assert!(
            matches!(&assets.kernels["6.1"], Part::Missing(reason) if reason.contains("left out"))
        );
    }

    #[test]
    fn only_the_newest_kernel_the_disk_and_the_browser_may_be_missing() {
        let mut assets = complete();
        assets.kernels.insert("7".into(), Part::Missing("no backports".into()));
        demand(&assets, |_| true).unwrap();
    }
}
