//! Each part as a line of output, and the parts without which the gate fails.

use anyhow::{Result, bail};
use qemu_runner::assets::{Assets, GuestProgram, Kernel, Part};

use super::LOOK_AGAIN;
use crate::setup::{Name, kernels};

/// A part as a line of output.
struct Row {
    part: Name,
    label: String,
    /// Whether the gate fails without it. The newest kernels, whose series comes from backports,
    /// and the disk, which takes root to make, may be missing. Their tests are then ignored, with
    /// the reason. The gate needs no part of the laboratory.
    required: bool,
    /// Its version and place, or why it is missing.
    found: Result<String, String>,
}

/// All parts except the emulator, without which there are no assets.
fn rows(assets: &Assets) -> Vec<Row> {
    fn row<T>(
        part: Name,
        label: &str,
        required: bool,
        found: &Part<T>,
        text: fn(&T) -> String,
    ) -> Row {
        let found = match found {
            Part::Present(found) => Ok(text(found)),
            Part::Missing(reason) => Err(reason.clone()),
        };
        Row { part, label: label.to_owned(), required, found }
    }
    let program = |part, label, found| {
        row(part, label, true, found, |p: &GuestProgram| {
            format!("{}, {} files", p.version, p.files.len())
        })
    };
    let busybox = assets.busybox.as_ref().map(|file| file.display().to_string());
    let found = busybox.ok_or_else(|| "run `cargo xtask setup`".to_owned());
    let mut rows =
        vec![Row { part: Name::Busybox, label: "busybox".into(), required: true, found }];
    for series in &kernels::SERIES {
        let none = Part::Missing("run `cargo xtask setup`".into());
        let found = assets.kernels.get(series.name).unwrap_or(&none);
        let label = format!("kernel {}", series.name);
        rows.push(row(series.part, &label, series.required, found, |kernel: &Kernel| {
            format!("{}: {}", kernel.release, kernel.vmlinuz.display())
        }));
    }
    rows.extend([
        program(Name::Makedumpfile, "makedumpfile", &assets.makedumpfile),
        program(Name::Kexec, "kexec-tools", &assets.kexec),
        program(Name::Udev, "udev", &assets.udev),
        program(Name::Flock, "flock", &assets.flock),
        program(Name::Mke2fs, "mke2fs", &assets.mke2fs),
        program(Name::MkfsXfs, "mkfs.xfs", &assets.mkfs_xfs),
        row(Name::Ovmf, "ovmf", true, &assets.ovmf, |ovmf| ovmf.code.display().to_string()),
        row(Name::Browser, "browser", false, &assets.browser, |browser| browser.version.clone()),
        row(Name::DebianDisk, "debian disk", false, &assets.debian_disk, |disk| {
            format!("{} packages: {}", disk.packages.len(), disk.image.display())
        }),
        row(Name::Readers, "readers", false, &assets.readers, |readers| {
            format!("{}; {}", readers.crash.version, readers.vmlinux.display())
        }),
        row(Name::NewMakedumpfile, "makedumpfile+", false, &assets.new_makedumpfile, |program| {
            program.version.clone()
        }),
    ]);
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
    let missing = missing.join("\n");
    bail!("parts are missing:\n{missing}\nIs this machine online? Then run `{LOOK_AGAIN}`.")
}

pub fn print(assets: &Assets) {
    println!("{:<13} {}: {}", "qemu", assets.qemu.version, assets.qemu.program.display());
    for Row { label, found, .. } in rows(assets) {
        println!("{label:<13} {}", found.unwrap_or_else(|reason| format!("missing: {reason}")));
    }
}
