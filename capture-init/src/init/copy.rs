//! `[5c]` An unfiltered copy of /proc/vmcore, an ELF core file.
//!
//! It needs nothing but read(2): no headers, no page tables, no compressor. Pages that cannot be
//! read become zeroes.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use capture_init::{Dump, Format, INCOMPLETE_DUMP_FILE};
use vmcore_filter::Output;

use crate::console::Console;
use crate::output::Target;
use crate::progress::Progress;
use crate::step::{Done, Place, Trouble};

/// Bytes read and written at once.
const CHUNK: usize = 256 << 10;
/// How a kdump-compressed dump begins (`KDUMP_SIGNATURE`, diskdump_mod.h of makedumpfile).
const DUMP_SIGNATURE: [u8; 8] = *b"KDUMP   ";
/// After an error, bytes read at once.
const PAGE: usize = 4096;

/// Copies it.
pub fn save(vmcore: &Path, place: &Place, console: &Console) -> Result<Done, Trouble> {
    let open = || -> io::Result<(File, u64)> {
        let file = File::open(vmcore)?;
        let len = file.metadata()?.len();
        Ok((file, len))
    };
    let (source, len) = open().map_err(|error| {
        Trouble::of_step(format_args!("cannot open {}: {error}", vmcore.display()))
    })?;
    let mut target = Target::open(place).map_err(Trouble::target("cannot open the target"))?;
    if len > place.room && has_dump(&mut target, place) {
        return Err(Trouble::of_target(format_args!(
            "the copy needs {} MiB and the target has {} MiB, where a part of a dump already is",
            len >> 20,
            place.room >> 20
        )));
    }
    let mut progress = Progress::new(console);
    let (mut at, mut written, mut unreadable) = (0, 0, 0);
    let mut buffer = vec![0; CHUNK];
    while at < len {
        let chunk = (CHUNK as u64).min(len - at) as usize;
        let bytes = &mut buffer[..chunk];
        unreadable += read(&source, at, bytes);
        if !target.begins_empty() || bytes.iter().any(|&byte| byte != 0) {
            target.write_at(at, bytes).map_err(|error| in_words(&error, at, len, place))?;
            written += chunk as u64;
        }
        at += chunk as u64;
        progress.is_at(at, len, written);
    }
    target.finish(len).map_err(Trouble::target("the copy does not reach the disk"))?;
    let troubles = match unreadable {
        0 => Vec::new(),
        pages => vec![format!("{pages} pages could not be read and are zeroes in the copy")],
    };
    Ok(Done::Dump { dump: Dump { format: Format::Elf, bytes: len, pages: None }, troubles })
}

/// Whether a filter that failed left a part of its dump: in the partition, or beside the copy.
fn has_dump(target: &mut Target, place: &Place) -> bool {
    let mut start = [0; DUMP_SIGNATURE.len()];
    let read = match place.is_partition {
        true => target.read_at(0, &mut start),
        false => File::open(place.path.with_file_name(INCOMPLETE_DUMP_FILE))
            .and_then(|dump| dump.read_exact_at(&mut start, 0)),
    };
    read.is_ok() && start == DUMP_SIGNATURE
}

/// Fills `bytes`. Returns how many pages are zeroes because they cannot be read.
fn read(source: &File, at: u64, bytes: &mut [u8]) -> u64 {
    if source.read_exact_at(bytes, at).is_ok() {
        return 0;
    }
    let mut unreadable = 0;
    for (page, from) in bytes.chunks_mut(PAGE).zip((at..).step_by(PAGE)) {
        if source.read_exact_at(page, from).is_err() {
            page.fill(0);
            unreadable += 1;
        }
    }
    unreadable
}

fn in_words(error: &io::Error, at: u64, len: u64, place: &Place) -> Trouble {
    if error.kind() == io::ErrorKind::StorageFull {
        return Trouble::of_target(format_args!(
            "the target is full after {} of {} MiB: it had {} MiB",
            at >> 20,
            len >> 20,
            place.room >> 20
        ));
    }
    Trouble::of_target(format_args!("cannot write the copy at offset {at}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::heard::Heard;
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn copy_equals_the_vmcore_and_has_holes_for_zeroes() {
        let heard = Heard::new();
        let (from, to) = (heard.root().join("vmcore"), heard.root().join("copy"));
        let source = File::create(&from).unwrap();
        let len = 20 * CHUNK as u64 + 100;
        source.set_len(len).unwrap();
        source.write_all_at(b"first", 0).unwrap();
        source.write_all_at(b"last", len - 4).unwrap();
        let place = Place { path: to.clone(), offset: 0, room: u64::MAX, is_partition: false };
        let done = save(&from, &place, &heard.console()).unwrap();
        let dump = Dump { format: Format::Elf, bytes: len, pages: None };
        assert_eq!(done, Done::Dump { dump, troubles: vec![] });
        assert_eq!(fs::read(&to).unwrap(), fs::read(&from).unwrap());
        assert!(fs::metadata(&to).unwrap().blocks() * 512 <= 4 * CHUNK as u64);
        assert!(heard.log().contains("100 %"), "{}", heard.log());
    }

    #[test]
    fn copy_to_a_partition_overwrites_old_data_with_zeroes() {
        let heard = Heard::new();
        let (from, to) = (heard.root().join("vmcore"), heard.root().join("vdb"));
        fs::write(&from, vec![0; 10_000]).unwrap();
        fs::write(&to, vec![0xee; 20_000]).unwrap();
        let place = Place { path: to.clone(), offset: 4096, room: 15_904, is_partition: true };
        save(&from, &place, &heard.console()).unwrap();
        let bytes = fs::read(&to).unwrap();
        assert_eq!(bytes.len(), 20_000);
        assert!(bytes[4096..14_096].iter().all(|&byte| byte == 0));
        assert!(bytes[14_096..].iter().all(|&byte| byte == 0xee));
    }

    #[test]
    fn copy_that_does_not_fit_is_the_targets_trouble() {
        let heard = Heard::new();
        let from = heard.root().join("vmcore");
        fs::write(&from, vec![1; 3 << 20]).unwrap();
        let path = heard.root().join("vdb");
        fs::write(&path, []).unwrap();
        let place = Place { path, offset: 0, room: 2 << 20, is_partition: true };
        let trouble = save(&from, &place, &heard.console()).unwrap_err();
        assert!(trouble.is_target);
        assert_eq!(trouble.words, "the target is full after 2 of 3 MiB: it had 2 MiB");
    }

    #[test]
    fn copy_that_does_not_fit_leaves_a_part_of_a_dump_alone() {
        let heard = Heard::new();
        let (from, path) = (heard.root().join("vmcore"), heard.root().join("vdb"));
        fs::write(&from, vec![1; 3 << 20]).unwrap();
        fs::write(&path, b"KDUMP   and more").unwrap();
        let place = Place { path, offset: 0, room: 2 << 20, is_partition: true };
        let trouble = save(&from, &place, &heard.console()).unwrap_err();
        assert!(trouble.is_target && trouble.words.contains("part of a dump"), "{trouble:?}");
        assert_eq!(fs::read(&place.path).unwrap(), b"KDUMP   and more");
    }

    #[test]
    fn copy_that_does_not_fit_does_not_fill_the_disk_beside_a_part_of_a_dump() {
        let heard = Heard::new();
        let (from, path) = (heard.root().join("vmcore"), heard.root().join("vmcore.unfiltered"));
        fs::write(&from, vec![1; 3 << 20]).unwrap();
        fs::write(heard.root().join(INCOMPLETE_DUMP_FILE), b"KDUMP   and more").unwrap();
        let place = Place { path, offset: 0, room: 2 << 20, is_partition: false };
        let trouble = save(&from, &place, &heard.console()).unwrap_err();
        assert!(trouble.is_target && trouble.words.contains("part of a dump"), "{trouble:?}");
        assert_eq!(fs::metadata(&place.path).unwrap().len(), 0);
    }

    #[test]
    fn missing_vmcore_is_not_the_targets_trouble() {
        let heard = Heard::new();
        let path = heard.root().join("copy");
        let place = Place { path, offset: 0, room: 0, is_partition: false };
        let trouble = save(&heard.root().join("none"), &place, &heard.console()).unwrap_err();
        assert!(!trouble.is_target, "{trouble:?}");
    }
}
