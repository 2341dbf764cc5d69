//! `disk-image KERNEL RAMDISK OUT`: a disk that boots KERNEL by BIOS and hands it RAMDISK.

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
    // COM1 is the purgatory's, and a UART there may never take a byte, for which the bootloader's logger would wait for ever.
    let mut config = BootConfig::default();
    config.serial_logging = false;
    // Nobody looks, and drawing letters on an emulated CPU takes as long as all the rest.
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
