//! Our purgatory: `story::tell` of the built file, bound and sealed by the loader.
//!
//! Twelve of its bytes differ: instead of jumping into the capture kernel (`leave`), it jumps back
//! here. They are replaced in the ELF file before the image is built, so leaf and seal match them.
//! Its verdict is in the report field of the command line. The policy is `boot`, so the story
//! leaves whatever it finds.

use anyhow::{Context, Result, bail};
use handoff::report::FIELD_LEN;
use loader::image::Image;
use loader::request::InputFile;
use object::{Object, ObjectSection, ObjectSymbol};

use super::super::{call, memory::Memory};
use super::Verify;

/// The function that entry.S calls, as it is mangled.
const TELL: &str = "story4tell";
/// The jump into the capture kernel, in leave.S.
const LEAVE: &str = "leave";

/// The purgatory's ELF file, with a jump back to this process.
pub fn leaving(mut elf: InputFile) -> Result<InputFile> {
    let file = object::File::parse(&*elf.bytes)?;
    let leave = file.symbols().find(|symbol| symbol.name() == Ok(LEAVE));
    let leave = leave.context("the purgatory has no symbol leave")?;
    let section = file.section_by_index(leave.section_index().context("leave has no section")?)?;
    let (start, _) = section.file_range().context("leave is not in the file")?;
    let offset = (start + leave.address() - section.address()) as usize;
    let code = call::jump_out();
    elf.bytes[offset..offset + code.len()].copy_from_slice(&code);
    Ok(elf)
}

pub struct Story {
    tell: u64,
    report: u64,
    blank: [u8; FIELD_LEN],
}

impl Story {
    pub fn new(elf: &InputFile, image: &Image<'_>) -> Result<Self> {
        let file = object::File::parse(&*elf.bytes)?;
        let is_tell = |name: &str| name.contains(TELL);
        let mut tell = file.symbols().filter(|symbol| symbol.name().is_ok_and(is_tell));
        let (Some(first), None) = (tell.next(), tell.next()) else {
            bail!("the purgatory has no function story::tell, or several");
        };
        let block = image.block().context("the purgatory is not ours")?;
        let report = block.report.start.get();
        let mut segments = image.segments().iter();
        let line = segments
            .find(|segment| segment.range().start() <= report && report < segment.range().end());
        let line = line.context("the report field is in no segment")?;
        let offset = (report - line.range().start()) as usize;
        let blank = line.bytes()[offset..offset + FIELD_LEN].try_into()?;
        Ok(Self { tell: block.purgatory.start.get() + first.address(), report, blank })
    }
}

impl Verify for Story {
    /// Erases the previous run's report, which would be a difference.
    fn prepare(&mut self, memory: &mut Memory) {
        memory.write(self.report, &self.blank);
    }

    fn verify(&mut self, _: &Memory) {
        call::tell_story(self.tell);
    }

    fn verdict(&self, memory: &Memory) -> (bool, String) {
        let field = memory.at(self.report, FIELD_LEN as u64);
        let words = String::from_utf8_lossy(field).trim_end().to_owned();
        (words.starts_with("ok,"), words)
    }
}
