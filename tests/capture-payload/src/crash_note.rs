//! Finds the crash note as /proc/vmcore finds vmcoreinfo: through one of the elfcorehdr's PT_NOTEs.

use orders::note::{NAME, TYPE};
use orders::{CrashNote, PhysSpan, SealedSpan};
use zerocopy::FromBytes;
use zerocopy::little_endian::{U32, U64};

use crate::Physical;
use crate::elf::{self, Headers};
use crate::range::Range;

/// The crash note and its place.
#[derive(Clone, Copy, Debug)]
pub struct Found<'m> {
    /// Its contents.
    pub note: &'m CrashNote,
    /// Number of PT_NOTEs before its own.
    pub index: usize,
}

/// The first crash note. Its counts must fit its tables.
pub fn find<'m>(
    physical: &'m impl Physical,
    headers: &Headers<'m>,
) -> Result<Found<'m>, &'static str> {
    let named =
        |phdr| elf::notes(physical, phdr).find(|note| note.name == NAME && note.kind == TYPE);
    let mut candidates =
        headers.notes().enumerate().filter_map(|(index, phdr)| Some((index, named(phdr)?)));
    let (index, found) = candidates.next().ok_or("no crash note in any PT_NOTE")?;
    let note =
        CrashNote::ref_from_bytes(found.descriptor).map_err(|_| "a crash note of another size")?;
    let fits = |count: U32, room: usize| count.get() as usize <= room;
    let counts_fit = fits(note.ram_count, note.ram.len())
        && fits(note.reserved_count, note.reserved.len())
        && fits(note.marker_count, note.markers.len())
        && fits(note.sealed_count, note.sealed.len());
    if counts_fit { Ok(Found { note, index }) } else { Err("a crash note with impossible counts") }
}

impl<'m> Found<'m> {
    /// What the PT_LOADs after the text must be.
    pub fn ram(&self) -> impl Iterator<Item = Option<Range>> + Clone + use<'m> {
        used(&self.note.ram, self.note.ram_count).iter().map(|span: &PhysSpan| Range::of(span))
    }

    /// The memory that is no RAM.
    pub fn reserved(&self) -> impl Iterator<Item = Option<Range>> + use<'m> {
        used(&self.note.reserved, self.note.reserved_count).iter().map(Range::of)
    }

    /// Where markers were planted.
    pub fn markers(&self) -> impl Iterator<Item = u64> + use<'m> {
        used(&self.note.markers, self.note.marker_count).iter().map(|address: &U64| address.get())
    }

    /// The spans that must match their digests.
    pub fn sealed(&self) -> &'m [SealedSpan] {
        used(&self.note.sealed, self.note.sealed_count)
    }

    /// Whether one of the sealed spans contains all of `range`.
    pub fn seals(&self, range: Range) -> bool {
        self.sealed()
            .iter()
            .filter_map(|sealed| Range::of(&sealed.span))
            .any(|sealed| sealed.contains(range))
    }
}

/// The used part of a table. [`find`] has checked the count.
fn used<T>(table: &[T], count: U32) -> &[T] {
    table.get(..count.get() as usize).unwrap_or(table)
}
