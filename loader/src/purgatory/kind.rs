//! `[3a]` `[4]` The kinds of purgatory: ours, and those of the kernel and of kexec-tools.
//!
//! Each step of [`build`](crate::build) that depends on the kind has a trait: [`Purgatory`] here,
//! [`Seal`](crate::seal::Seal) and [`Bind`](crate::bind::Bind) in theirs. Every other step is the
//! same for all images.

use std::fmt::Debug;

use handoff::PAGE_SIZE;
use handoff::region::leaves_in;
use object::LittleEndian;
use object::elf::{ET_REL, FileHeader64};
use object::read::elf::FileHeader;

use super::{Error, Foreign, Program, parse};
use crate::machine::Machine;
use crate::place::PurgatoryNeeds;
use crate::purgatory::settings::{self, ForeignSettings, Settings};
use crate::request::{InputFile, Request};

/// A purgatory's file, taken apart, by kind.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Ours, which is configured by a block.
    Ours(Program),
    /// The kernel's or kexec-tools', which is configured by symbols.
    Foreign(Foreign),
}

/// Takes a file apart. An ELF object (ET_REL) is a foreign purgatory; anything else must be ours.
pub fn read(file: &InputFile) -> Result<Kind, Error> {
    let header = FileHeader64::<LittleEndian>::parse(file.bytes.as_slice());
    if header.is_ok_and(|header| header.e_type(LittleEndian) == ET_REL) {
        Ok(Kind::Foreign(Foreign::parse(file)?))
    } else {
        Ok(Kind::Ours(parse(file)?))
    }
}

/// Lengths in bytes of everything that the purgatory verifies, except itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lengths {
    /// The capture kernel's payload.
    pub kernel: u64,
    /// The initrd; 0 without one.
    pub initrd: u64,
    /// boot_params and setup_data.
    pub boot_params: u64,
    /// The command line with its NUL.
    pub command_line: u64,
    /// The elfcorehdr as it is at load.
    pub elfcorehdr: u64,
}

/// How many leaves regions of these lengths have.
pub(crate) fn leaf_count(lengths: impl IntoIterator<Item = u64>, leaf_size: u32) -> u64 {
    lengths.into_iter().map(|len| leaves_in(len, leaf_size)).sum()
}

/// A purgatory that an image can be built around.
pub(crate) trait Purgatory: Debug + Sized {
    /// Whether it writes a report into the command line.
    const REPORTS: bool;
    /// Whether it leaves records and copies of the kernel log in crash memory.
    const KEEPS_BLACK_BOX: bool;
    /// Its configuration, apart from the segments.
    type Settings: Debug;

    /// `[4]` Decides its configuration.
    fn settings(
        &self,
        request: &Request,
        machine: &Machine,
    ) -> Result<Self::Settings, settings::Error>;
    /// `[5]` Size and alignment of its segment.
    fn needs(&self, settings: &Self::Settings, lengths: &Lengths) -> PurgatoryNeeds;
}

impl Purgatory for Program {
    const REPORTS: bool = true;
    const KEEPS_BLACK_BOX: bool = true;
    type Settings = Settings;

    fn settings(&self, request: &Request, machine: &Machine) -> Result<Settings, settings::Error> {
        Settings::decide(request, machine)
    }

    fn needs(&self, settings: &Settings, lengths: &Lengths) -> PurgatoryNeeds {
        let Lengths { kernel, initrd, boot_params, command_line, elfcorehdr } = *lengths;
        let digested =
            [self.text_bytes().len() as u64, kernel, initrd, boot_params, command_line, elfcorehdr];
        let leaves = leaf_count(digested, settings.leaf_size);
        PurgatoryNeeds { len: self.trailer(leaves, elfcorehdr).end, alignment: PAGE_SIZE }
    }
}

impl Purgatory for Foreign {
    const REPORTS: bool = false;
    const KEEPS_BLACK_BOX: bool = false;
    type Settings = ForeignSettings;

    fn settings(
        &self,
        request: &Request,
        machine: &Machine,
    ) -> Result<ForeignSettings, settings::Error> {
        ForeignSettings::decide(self.contract(), request, machine)
    }

    fn needs(&self, _: &ForeignSettings, _: &Lengths) -> PurgatoryNeeds {
        PurgatoryNeeds { len: self.program().len(), alignment: self.alignment() }
    }
}
