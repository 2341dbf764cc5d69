//! What guests and their emulator need, part by part, and the asset manifest that says where each lies.
//!
//! On exit: the manifest names every part that was asked for, or why it is missing; parts that were not asked for are as they were.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, bail};
use qemu_runner::assets::{Assets, MANIFEST, Part};
use serde::de::DeserializeOwned;
use xshell::Shell;

use crate::repository::Repository;
use crate::setup::by_hand::Unsupported;
use crate::setup::supply::{self, Files, Supply};
use crate::setup::{Name, browser, debian_disk, explain, guest_program, kernels, lock, qemu};

/// Brings the wanted parts and writes the manifest.
pub fn get(sh: &Shell, repo: &Repository, refresh: bool, wanted: impl Fn(Name) -> bool) -> Result<Assets> {
    let _lock = lock(sh, repo)?;
    let supply = Supply::new(sh, repo, refresh);
    let manifest = repo.root.join(MANIFEST);
    match bring(&supply, wanted, known(&manifest)) {
        Ok(assets) => {
            sh.write_file(manifest, serde_json::to_string_pretty(&assets)?)?;
            Ok(assets)
        }
        // Whoever wrote a manifest by hand, as the instructions say, has everything.
        Err(error) if error.is::<Unsupported>() => complete_manifest(&manifest).ok_or_else(|| explain(error)),
        Err(error) => Err(error),
    }
}

/// Brings the wanted parts. Those that are not stay as they are `known`, even if somebody else has brought them.
fn bring(supply: &Supply<'_>, wanted: impl Fn(Name) -> bool, known: Option<Assets>) -> Result<Assets> {
    let known = known.as_ref();
    /// Brings a part if it is wanted. A failure does not keep the others from being brought: `demand` decides what may be missing.
    macro_rules! guest {
        ($wanted:expr, $name:expr, $known:expr, $get:expr) => {
            if wanted($wanted) {
                match supply.provide($name, $get) {
                    Err(error) if error.is::<Unsupported>() => return Err(error),
                    Err(error) => {
                        eprintln!("  {error:#}\n  going on with the rest");
                        Part::Missing(format!("{error:#}"))
                    }
                    Ok(part) => part,
                }
            } else {
                kept(supply, $name, $known)
            }
        };
    }
    let qemu = required(supply.provide("qemu", qemu::get)?)?;
    let busybox = if wanted(Name::Busybox) {
        Some(required(supply.provide("busybox", guest_program::busybox)?)?)
    } else {
        let remembered = supply.remembered("busybox").map(required).transpose()?;
        remembered.or_else(|| known?.busybox.clone().filter(|busybox| busybox.exists()))
    };
    let mut kernels = BTreeMap::new();
    for series in &kernels::SERIES {
        let (name, known) = (format!("kernel-{}", series.name), known.and_then(|known| known.kernels.get(series.name)));
        let part = guest!(Name::Kernels, &name, known, |s, tree| kernels::get(s, tree, series));
        kernels.insert(series.name.to_string(), part);
    }
    Ok(Assets {
        qemu,
        busybox,
        kernels,
        makedumpfile: guest!(Name::Makedumpfile, "makedumpfile", known.map(|known| &known.makedumpfile), |s, tree| {
            guest_program::get(s, tree, "makedumpfile", "makedumpfile")
        }),
        kexec: guest!(Name::Kexec, "kexec-tools", known.map(|known| &known.kexec), |s, tree| {
            guest_program::get(s, tree, "kexec-tools", "kexec")
        }),
        udev: guest!(Name::Udev, "udev", known.map(|known| &known.udev), |s, tree| guest_program::get(
            s, tree, "udev", "udevadm"
        )),
        flock: guest!(Name::Flock, "flock", known.map(|known| &known.flock), |s, tree| {
            guest_program::get(s, tree, "util-linux", "flock")
        }),
        ovmf: guest!(Name::Ovmf, "ovmf", known.map(|known| &known.ovmf), guest_program::ovmf),
        browser: guest!(Name::Browser, "browser", known.map(|known| &known.browser), browser::get),
        // Last, since where it can be made at all a failure is one of the whole set-up.
        debian_disk: if wanted(Name::DebianDisk) {
            supply.provide(debian_disk::NAME, debian_disk::get)?
        } else {
            kept(supply, debian_disk::NAME, known.map(|known| &known.debian_disk))
        },
    })
}

/// A part that is not wanted now: as it was brought earlier, or as somebody has written it down.
fn kept<T: Files + Clone + DeserializeOwned>(supply: &Supply<'_>, name: &str, known: Option<&Part<T>>) -> Part<T> {
    let left_out = || Part::Missing(format!("{name} was left out; run `cargo xtask setup`"));
    supply.remembered(name).or_else(|| present(known)).unwrap_or_else(left_out)
}

/// What an earlier run, or a person, has written down.
fn known(manifest: &Path) -> Option<Assets> {
    serde_json::from_slice(&std::fs::read(manifest).ok()?).ok()
}

/// A part that is there with all its files.
fn present<T: Files + Clone>(part: Option<&Part<T>>) -> Option<Part<T>> {
    match part? {
        Part::Present(found) if found.files().iter().all(|file| file.exists()) => Some(Part::Present(found.clone())),
        _ => None,
    }
}

fn required<T>(part: Part<T>) -> Result<T> {
    match part {
        Part::Present(part) => Ok(part),
        Part::Missing(reason) => bail!(reason),
    }
}

/// Fails unless everything wanted is there. Only the newest kernels may be missing, whose series comes from backports, the disk with a
/// Debian, which takes root to be made, and the browser: what needs them is then reported as ignored, with the reason.
pub fn demand(assets: &Assets, wanted: impl Fn(Name) -> bool) -> Result<()> {
    fn reason<T>(part: &Part<T>) -> Option<&str> {
        match part {
            Part::Present(_) => None,
            Part::Missing(reason) => Some(reason),
        }
    }
    let busybox = if assets.busybox.is_none() { Some("it is not among the assets") } else { None };
    let programs = [
        (Name::Busybox, "busybox", busybox),
        (Name::Makedumpfile, "makedumpfile", reason(&assets.makedumpfile)),
        (Name::Kexec, "kexec-tools", reason(&assets.kexec)),
        (Name::Udev, "udev", reason(&assets.udev)),
        (Name::Flock, "flock", reason(&assets.flock)),
        (Name::Ovmf, "ovmf", reason(&assets.ovmf)),
    ];
    let kernels = kernels::SERIES.iter().filter(|series| series.required).map(|series| {
        let reason = assets.kernels.get(series.name).map_or(Some("it is not among the assets"), reason);
        (format!("kernel {}", series.name), reason)
    });
    let programs = programs.into_iter().filter(|(name, ..)| wanted(*name)).map(|(_, name, reason)| (name.to_string(), reason));
    let kernels = kernels.filter(|_| wanted(Name::Kernels));
    let missing: Vec<String> =
        kernels.chain(programs).filter_map(|(name, reason)| Some(format!("  {name}: {}", reason?))).collect();
    if missing.is_empty() {
        return Ok(());
    }
    bail!(
        "these parts, which scenarios need, could not be brought:\n{}\nIs this machine online? Then run `{}`.",
        missing.join("\n"),
        supply::LOOK_AGAIN
    )
}

/// A manifest all of whose files exist.
fn complete_manifest(manifest: &Path) -> Option<Assets> {
    fn present<T: Files>(part: &Part<T>) -> bool {
        match part {
            Part::Present(part) => part.files().iter().all(|file| file.exists()),
            Part::Missing(_) => true,
        }
    }
    let assets = known(manifest)?;
    let all = assets.qemu.files().iter().all(|f| f.exists())
        && assets.busybox.as_ref().is_none_or(|busybox| busybox.exists())
        && assets.kernels.values().all(present)
        && present(&assets.makedumpfile)
        && present(&assets.kexec)
        && present(&assets.udev)
        && present(&assets.flock)
        && present(&assets.ovmf)
        && present(&assets.debian_disk)
        && present(&assets.browser);
    all.then_some(assets)
}

/// What is there, one line each.
pub fn print(assets: &Assets) {
    fn line<T>(name: &str, part: &Part<T>, text: impl Fn(&T) -> String) {
        match part {
            Part::Present(part) => println!("{name:<13} {}", text(part)),
            Part::Missing(reason) => println!("{name:<13} missing: {reason}"),
        }
    }
    println!("qemu          {}: {}", assets.qemu.version, assets.qemu.program.display());
    match &assets.busybox {
        Some(busybox) => println!("busybox       {}", busybox.display()),
        None => println!("busybox       missing: it was left out; run `cargo xtask setup`"),
    }
    for (series, kernel) in &assets.kernels {
        line(&format!("kernel {series}"), kernel, |k| format!("{}: {}", k.release, k.vmlinuz.display()));
    }
    line("makedumpfile", &assets.makedumpfile, |p| format!("{}, {} files", p.version, p.files.len()));
    line("kexec", &assets.kexec, |p| format!("{}, {} files", p.version, p.files.len()));
    line("udev", &assets.udev, |p| format!("{}, {} files", p.version, p.files.len()));
    line("flock", &assets.flock, |p| format!("{}, {} files", p.version, p.files.len()));
    line("ovmf", &assets.ovmf, |o| o.code.display().to_string());
    line("browser", &assets.browser, |b| format!("{}: {}", b.version, b.program.display()));
    line("debian disk", &assets.debian_disk, |d| {
        format!("{} packages, {}: {}", d.packages.len(), d.kernel.release, d.image.display())
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use qemu_runner::assets::{GuestProgram, Kernel, Ovmf, Qemu};

    fn complete() -> Assets {
        let kernel = || Part::Present(Kernel { vmlinuz: "vmlinuz".into(), release: "6.12".into(), virtio_mem: None });
        let program = || Part::Present(GuestProgram { version: "1".into(), files: BTreeMap::new(), program: "/bin/p".into() });
        Assets {
            qemu: Qemu { program: "qemu".into(), library_path: vec![], data_dirs: vec![], version: "10".into() },
            busybox: Some("busybox".into()),
            kernels: kernels::SERIES.iter().map(|series| (series.name.to_string(), kernel())).collect(),
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
    fn refused_without(part: &str, make: impl Fn(&mut Assets)) {
        let mut assets = complete();
        make(&mut assets);
        let error = demand(&assets, |_| true).unwrap_err().to_string();
        assert!(error.contains(&format!("  {part}: ")) && error.contains(supply::LOOK_AGAIN), "{error}");
        // Who asked for something else only gets it.
        demand(&assets, |name| name == Name::Qemu).unwrap();
    }

    #[test]
    fn a_missing_part_is_refused_by_name() {
        demand(&complete(), |_| true).unwrap();
        refused_without("busybox", |assets| assets.busybox = None);
        refused_without("makedumpfile", |assets| assets.makedumpfile = Part::Missing("no".into()));
        refused_without("kexec-tools", |assets| assets.kexec = Part::Missing("no".into()));
        refused_without("udev", |assets| assets.udev = Part::Missing("no".into()));
        refused_without("flock", |assets| assets.flock = Part::Missing("no".into()));
        refused_without("ovmf", |assets| assets.ovmf = Part::Missing("no".into()));
        for series in ["6.1", "6.12"] {
            refused_without(&format!("kernel {series}"), |assets| {
                assets.kernels.insert(series.into(), Part::Missing("no".into()));
            });
            refused_without(&format!("kernel {series}"), |assets| drop(assets.kernels.remove(series)));
        }
    }

    /// A repository in which the emulator has been brought, and `assets` is the manifest.
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
    fn the_emulator_alone_needs_nothing_else_and_leaves_the_rest_to_be_brought() {
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
    fn what_was_not_asked_for_stays_as_somebody_has_written_it_down() {
        let sh = Shell::new().unwrap();
        let dir = sh.create_temp_dir().unwrap();
        let (vmlinuz, busybox) = (dir.path().join("vmlinuz"), dir.path().join("busybox"));
        let mut written = complete();
        let kernel = Part::Present(Kernel { vmlinuz: vmlinuz.clone(), release: "6.12".into(), virtio_mem: None });
        written.kernels.insert("6.12".into(), kernel);
        written.busybox = Some(busybox.clone());
        let repo = repository(dir.path(), Some(&written));
        for file in [&vmlinuz, &busybox] {
            std::fs::write(file, "").unwrap();
        }
        get(&sh, &repo, false, |name| name == Name::Qemu).unwrap();
        let assets = known(&dir.path().join(MANIFEST)).unwrap();
        assert!(matches!(&assets.kernels["6.12"], Part::Present(kernel) if kernel.vmlinuz == vmlinuz));
        assert_eq!(assets.busybox, Some(busybox));
        // Its file is not there.
        assert!(matches!(&assets.kernels["6.1"], Part::Missing(reason) if reason.contains("left out")));
    }

    #[test]
    fn only_the_newest_kernel_and_the_disk_that_root_must_make_may_be_missing() {
        let mut assets = complete();
        assets.kernels.insert("7".into(), Part::Missing("no backports".into()));
        demand(&assets, |_| true).unwrap();
    }
}
