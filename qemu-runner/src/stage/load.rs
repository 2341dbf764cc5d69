//! Arming as command lines, and what `load --json` prints.

use loader::image::{SegmentSummary, Summary};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::guest;
use crate::error::Error;

/// The capture kernel's command line: its console, one CPU, drivers that reset what the crashed
/// kernel left running, and no memory but its own: without `acpi_no_memhotplug` it finds the
/// crashed kernel's DIMMs through ACPI, takes them for free memory and overwrites them
/// (`acpi_memory_device_add`, drivers/acpi/acpi_memhotplug.c).
pub const CAPTURE_APPEND: &str = "console=ttyS0 nr_cpus=1 reset_devices acpi_no_memhotplug";
/// How long the purgatory shows a failure, in seconds; short, since no user reads it in a test.
pub const RESET_DELAY_S: u32 = 1;

/// What `load --json` prints.
#[derive(Clone, Debug, Deserialize)]
pub struct Loaded {
    /// Whether the kernel keeps the elfcorehdr current.
    pub hotplug: bool,
    #[serde(flatten)]
    pub image: Summary,
}

impl Loaded {
    pub fn segment(&self, name: &str) -> Result<&SegmentSummary, Error> {
        let mut segments = self.image.segments.iter();
        let none = || Error::Failed(format!("`load` printed no segment {name}"));
        segments.find(|segment| segment.name == name).ok_or_else(none)
    }
}

/// The loader's command line for arming.
pub fn load_command(append: &str, options: &str) -> String {
    format!("{} --reset-delay {RESET_DELAY_S} {options}", arming(append))
}

/// The same around another's purgatory, which cannot be told when to reset.
pub fn load_foreign_command(append: &str, options: &str) -> String {
    format!("{} --purgatory {} {options}", arming(append), guest::PURGATORY)
}

/// The same with the kernel's own purgatory, by kexec_file_load(2).
pub fn load_file_command(append: &str) -> String {
    format!("{} --file", arming(append))
}

/// kexec-tools' command line for arming. With -c, or kexec lets the kernel load the image, with a
/// purgatory of the kernel's.
pub fn kexec_command(program: &str, append: &str) -> String {
    let (kernel, initrd) = (guest::KERNEL, guest::INITRD);
    format!("{program} -p -c {kernel} --initrd={initrd} --append='{append}'")
}

fn arming(append: &str) -> String {
    format!(
        "{} load --kernel {} --initrd {} --append '{append}' --json",
        guest::LOADER,
        guest::KERNEL,
        guest::INITRD
    )
}

/// JSON that the guest has printed.
pub fn json<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    serde_json::from_str(text)
        .map_err(|error| Error::unreadable("JSON", format!("{error} in {text}")))
}

/// A decimal number that the guest has printed.
pub fn number<T: std::str::FromStr>(text: &str) -> Result<T, Error> {
    text.trim().parse().map_err(|_| Error::unreadable("a number", text))
}
