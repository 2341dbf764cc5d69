//! Ours: `story::tell` of the built purgatory, as it is bound and sealed by the loader.
//!
//! Of its bytes, twelve are others: where it would jump into the capture kernel (`leave`), it jumps back to here. They are put into the ELF
//! file before the image is built, so that leaf and seal fit them. Its verdict is in the report field of the command line, where the capture
//! kernel would find it; the policy is `boot`, so that it leaves whatever it finds.

use std::error::Error;

use handoff::report::FIELD_LEN;
use loader::image::Image;
use loader::request::InputFile;
use object::{Object, ObjectSection, ObjectSymbol};

use super::Verifier;
use crate::call;
use crate::memory::Memory;

/// What entry.S calls.
const TELL: &str = "story4tell";
/// leave.S.
const LEAVE: &str = "leave";

/// The purgatory's ELF file, leaving to this process.
pub fn leaving(mut elf: InputFile) -> Result<InputFile, Box<dyn Error>> {
    let code = call::jump_out();
    let offset = {
        let file = object::File::parse(&*elf.bytes)?;
        let leave = file.symbols().find(|symbol| symbol.name() == Ok(LEAVE)).ok_or("the purgatory has no symbol leave")?;
        let index = leave.section_index().ok_or("leave is in no section")?;
        let section = file.section_by_index(index)?;
        let (start, _) = section.file_range().ok_or("leave is in no part of the file")?;
        (start + leave.address() - section.address()) as usize
    };
    elf.bytes[offset..offset + code.len()].copy_from_slice(&code);
    Ok(elf)
}

/// The purgatory in its image.
pub struct Story {
    tell: u64,
    report: u64,
    blank: [u8; FIELD_LEN],
}

impl Story {
    /// Finds its first function and its report field.
    pub fn new(elf: &InputFile, image: &Image<'_>) -> Result<Self, Box<dyn Error>> {
        let file = object::File::parse(&*elf.bytes)?;
        let is_tell = |name: &str| name.contains(TELL);
        let mut tell = file.symbols().filter(|symbol| symbol.name().is_ok_and(is_tell));
        let (Some(first), None) = (tell.next(), tell.next()) else {
            return Err("the purgatory has not one function story::tell".into());
        };
        let block = image.block().ok_or("the purgatory is not ours")?;
        let report = block.report.start.get();
        let line = image.segments().iter().find(|segment| segment.range().start() <= report && report < segment.range().end());
        let line = line.ok_or("the report field is in no segment")?;
        let offset = (report - line.range().start()) as usize;
        let blank = line.bytes()[offset..offset + FIELD_LEN].try_into()?;
        Ok(Self { tell: block.purgatory.start.get() + first.address(), report, blank })
    }

    fn field<'m>(&self, memory: &'m Memory) -> &'m [u8] {
        &memory.bytes()[(self.report - memory.start()) as usize..][..FIELD_LEN]
    }
}

impl Verifier for Story {
    /// The report of the run before would be a difference.
    fn prepare(&mut self, memory: &mut Memory) {
        memory.write(self.report, &self.blank);
    }

    fn verify(&mut self, _: &Memory) {
        call::tell_story(self.tell);
    }

    fn verdict(&self, memory: &Memory) -> (bool, String) {
        let words = String::from_utf8_lossy(self.field(memory)).trim_end().to_owned();
        (words.starts_with("ok,"), words)
    }
}
