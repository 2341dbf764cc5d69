//! `disk-image KERNEL RAMDISK OUT`: makes a disk that boots KERNEL from BIOS with RAMDISK.

use std::path::PathBuf;
use std::process::ExitCode;

use bootloader::{BootConfig, DiskImageBuilder};

fn main() -> ExitCode {
    let paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [kernel, ramdisk, out] = paths.as_slice() else {
        eprintln!("usage: disk-image KERNEL RAMDISK OUT");
        return ExitCode::from(2);
    };
    let mut builder = DiskImageBuilder::new(kernel.clone());
    builder.set_ramdisk(ramdisk.clone());
    // COM1 is the purgatory's. A UART there may never accept a byte, and the bootloader's logger
    // would hang on it.
    let mut config = BootConfig::default();
    config.serial_logging = false;
    // There is no display, and drawing letters on an emulated CPU takes as long as everything else.
    config.frame_buffer_logging = false;
    builder.set_boot_config(&config);
    match builder.create_bios_image(out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("disk-image: cannot make {}: {error:#}", out.display());
            ExitCode::FAILURE
        }
    }
}
