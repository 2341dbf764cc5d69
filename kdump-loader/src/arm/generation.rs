//! `[0]` `[14]` The black box of a load: its number, and the file that leads the next boot to it.
//!
//! *On entry* before the image is built: /var/lib, which outlives a reboot.
//!
//! *On exit*
//! - a number that no earlier load on this machine had; without a writable /var/lib, no number and
//!   no black box
//! - after the load: the addresses of the records in [`ArmedBox`]'s file

use std::num::NonZeroU64;
use std::path::Path;

use loader::image::{BlackBoxSummary, Summary};

use super::record::{self, state};
use crate::black_box::armed::{ArmedBox, Boot, STATE, VERSION, expect_var_lib, now};
use crate::messages::{in_full, note, warn};

/// The number of the last load, in decimal, in [`STATE`]. It is written before the image is built,
/// so that a load that fails does not use its number again.
pub const GENERATION: &str = "generation";

/// The number in a plan. Nothing is counted, so that every plan of the same image has the same
/// identity.
pub const PLANNED: NonZeroU64 = NonZeroU64::MIN;

/// The number of the next load, or a note that there is no black box.
///
/// Two loads at once may get the same number. Only one of their images is armed in the end, and a
/// record names its image.
pub fn next_generation(root: &Path) -> Option<NonZeroU64> {
    match count(root) {
        Ok(generation) => Some(generation),
        Err(error) => {
            note(format_args!(
                "the purgatory will leave no record of a panic, because the next boot could not \
                 find it: {}",
                in_full(&error)
            ));
            None
        }
    }
}

fn count(root: &Path) -> Result<NonZeroU64, record::Error> {
    expect_var_lib(root)?;
    let path = root.join(STATE).join(GENERATION);
    let counted = || String::from_utf8(state::read(&path).ok()?).ok()?.trim_end().parse().ok();
    let armed = ArmedBox::read(root).ok().flatten().map(|armed| armed.generation);
    // If neither file can be read, the clock is ahead of every earlier count.
    let last = armed.max(counted()).unwrap_or_else(now);
    let next = NonZeroU64::MIN.saturating_add(last);
    state::replace(&path, format!("{next}\n").as_bytes())?;
    Ok(next)
}

/// Tells the next boot where the records of the armed image are. An image without a black box is
/// recorded only if an earlier one was, which it has replaced.
pub fn keep(root: &Path, image: &Summary, vmcoreinfo: &str) {
    let black_box = image.by_block.as_ref().and_then(|block| block.black_box.as_ref());
    if let Some(because) = black_box.and_then(|black_box| black_box.no_log.as_ref()) {
        note(format_args!("the kernel log will not be kept: {because}"));
    }
    if black_box.is_none() && matches!(ArmedBox::read(root), Ok(None)) {
        return;
    }
    match write(root, image, black_box, vmcoreinfo) {
        Err(error) if black_box.is_some() => warn(format_args!(
            "the image is armed, but the boot after a panic will not find its records: {}",
            in_full(&error)
        )),
        // Without a black box there is nothing to find.
        _ => {}
    }
}

fn write(
    root: &Path,
    image: &Summary,
    black_box: Option<&BlackBoxSummary>,
    vmcoreinfo: &str,
) -> Result<(), record::Error> {
    let last = || ArmedBox::read(root).ok().flatten().map_or(0, |armed| armed.generation);
    ArmedBox {
        version: VERSION,
        boot: Boot::current(root)?,
        armed_at: now(),
        generation: black_box.map_or_else(last, |black_box| black_box.generation),
        image: image.identity.clone(),
        crash_region: image.crash_region,
        records: black_box.map_or_else(Vec::new, |black_box| black_box.records.clone()),
        log_copies: black_box.map_or_else(Vec::new, |black_box| black_box.log_copies.clone()),
        vmcoreinfo: vmcoreinfo.to_owned(),
        disarmed: false,
        shutdown_at: None,
    }
    .write(root)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use loader::machine::example;
    use loader::request::{self, Request};

    use super::*;

    fn root() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let boot_id = ("proc/sys/kernel/random/boot_id".to_owned(), b"one\n".to_vec());
        example::plant(root.path(), &[boot_id].into());
        fs::create_dir_all(root.path().join("var/lib")).unwrap();
        root
    }

    /// The summary of an image with or without a black box of this number.
    fn summary(generation: Option<NonZeroU64>) -> Summary {
        let request = Request { black_box: generation, ..request::example() };
        loader::build(&request, &example::machine()).unwrap().summary()
    }

    #[test]
    fn numbers_increase_also_without_a_load_and_when_a_file_is_lost() {
        let root = root();
        let next = || next_generation(root.path()).unwrap().get();
        let first = next();
        assert!(first > 1_700_000_000, "the clock is ahead of every count: {first}");
        assert_eq!((next(), next()), (first + 1, first + 2));
        keep(root.path(), &summary(NonZeroU64::new(first + 2)), "");
        let file = root.path().join(STATE).join(GENERATION);
        for lost in ["", "odd", "-1", "99999999999999999999999"] {
            fs::write(&file, lost).unwrap();
            assert_eq!(next(), first + 3, "{lost:?}");
        }
        fs::write(root.path().join(STATE).join("armed.json"), "{").unwrap();
        assert_eq!(next(), first + 4, "the count alone is enough");
    }

    #[test]
    fn next_boot_learns_the_addresses_of_the_armed_image() {
        let root = root();
        let image = summary(NonZeroU64::new(7));
        let black_box = image.by_block.as_ref().unwrap().black_box.clone().unwrap();
        keep(root.path(), &image, "OSRELEASE=6.12.43\n");
        let armed = ArmedBox::read(root.path()).unwrap().unwrap();
        assert_eq!((armed.generation, armed.boot.boot_id.as_str()), (7, "one"));
        assert_eq!(
            (&armed.image, armed.vmcoreinfo.as_str()),
            (&image.identity, "OSRELEASE=6.12.43\n")
        );
        assert_eq!((armed.records.len(), armed.log_copies.len()), (4, 2));
        assert_eq!((armed.records, armed.log_copies), (black_box.records, black_box.log_copies));
    }

    #[test]
    fn image_without_black_box_replaces_the_addresses_and_keeps_the_count() {
        let root = root();
        keep(root.path(), &summary(NonZeroU64::new(7)), "");
        keep(root.path(), &summary(None), "");
        let armed = ArmedBox::read(root.path()).unwrap().unwrap();
        assert_eq!((armed.generation, armed.records.len(), armed.log_copies.len()), (7, 0, 0));
    }

    #[test]
    fn load_without_black_box_leaves_no_file_on_a_machine_that_never_had_one() {
        let root = root();
        keep(root.path(), &summary(None), "");
        assert!(!root.path().join(STATE).exists());
    }

    #[test]
    fn machine_that_keeps_nothing_has_no_number() {
        let root = root();
        let var_lib = root.path().join("var/lib");
        fs::remove_dir(&var_lib).unwrap();
        assert_eq!(next_generation(root.path()), None);
        assert!(!var_lib.exists(), "it is not made");
        // As on a read-only file system, a directory cannot be made there.
        fs::create_dir(&var_lib).unwrap();
        fs::write(root.path().join(STATE), "in the way").unwrap();
        assert_eq!(next_generation(root.path()), None);
        keep(root.path(), &summary(None), "");
    }
}
