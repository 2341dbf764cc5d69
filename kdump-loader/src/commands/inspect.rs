//! `kdump-loader inspect`: describes a file as the loader reads it.

use std::fmt;

use handoff::Block;
use handoff::block::VERSION;
use loader::cmdline;
use loader::files;
use loader::files::read::Opened;
use loader::kernel::{self, CaptureKernel, uki, vmlinux};
use loader::purgatory::foreign::REGIONS;
use loader::purgatory::{self, Foreign, Kind, Program};
use loader::request::InputFile;
use object::elf::ELFMAG;
use serde::Serialize;

use super::{Error, print, print_json};
use crate::arm::request_for::{LARGEST_FILE, read_purgatory};
use crate::cli::Inspect;

/// What a file is.
#[derive(Serialize)]
#[serde(tag = "format", rename_all = "kebab-case")]
enum Description {
    /// A capture kernel.
    #[serde(rename = "bzImage")]
    BzImage {
        file: String,
        protocol: String,
        payload: u64,
        init_size: u64,
        alignment: u64,
        pref_address: u64,
        cmdline_size: u64,
        xloadflags: u16,
        entry_offset: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        inside: Option<Wrapper>,
    },
    /// An uncompressed kernel.
    Vmlinux { file: String, payload: u64, init_size: u64, alignment: u64, entry_offset: u64 },
    /// This project's purgatory.
    Purgatory {
        file: String,
        block_version: u32,
        block_size: u64,
        block_offset: u64,
        text: u64,
        len: u64,
        entry_offset: u64,
    },
    /// A purgatory for the contract of the kernel or of kexec-tools.
    ForeignPurgatory {
        file: String,
        /// `linux` or `kexec-tools`.
        contract: &'static str,
        whose: &'static str,
        file_len: u64,
        len: u64,
        alignment: u64,
        /// One past the highest address that it can run at; null if it runs anywhere.
        limit: Option<u64>,
        entry_offset: u64,
        /// It can print on an 8250.
        prints: bool,
    },
}

/// The file around a kernel, and its other contents.
#[derive(Serialize)]
struct Wrapper {
    format: &'static str,
    initrd: Option<u64>,
    command_line: Option<String>,
}

/// Describes the file, or the embedded purgatory.
pub fn run(arguments: &Inspect) -> Result<(), Error> {
    let file = match &arguments.file {
        Some(path) => {
            // A kernel may be at the start of a much larger partition.
            Opened::new("file", path)?.read(files::wanted, LARGEST_FILE)?.input
        }
        None => read_purgatory(None)?,
    };
    let elf = file.bytes.starts_with(&ELFMAG) && kernel::format_of(&file.bytes).is_none();
    let description = if elf || arguments.file.is_none() {
        let path = file.path.display().to_string();
        match purgatory::read(&file)? {
            Kind::Ours(program) => ours(path, &program),
            Kind::Foreign(foreign) => others(path, &foreign),
        }
    } else {
        describe(&file, kernel::parse(&file)?)
    };
    if arguments.json { print_json(&description) } else { print(&description.to_string()) }
}

fn ours(file: String, program: &Program) -> Description {
    Description::Purgatory {
        file,
        block_version: VERSION,
        block_size: size_of::<Block>() as u64,
        block_offset: program.handoff(),
        text: program.text_bytes().len() as u64,
        len: program.len(),
        entry_offset: program.entry(),
    }
}

fn others(file: String, foreign: &Foreign) -> Description {
    let (contract, program) = (foreign.contract(), foreign.program());
    Description::ForeignPurgatory {
        file,
        contract: contract.name,
        whose: contract.whose,
        file_len: program.file_len(),
        len: program.len(),
        alignment: program.alignment(),
        limit: program.limit(),
        entry_offset: program.entry(),
        prints: contract.prints(),
    }
}

fn describe(file: &InputFile, kernel: CaptureKernel<'_>) -> Description {
    let (path, payload) = (file.path.display().to_string(), kernel.payload.len() as u64);
    let CaptureKernel { init_size, alignment, entry_offset, .. } = kernel;
    if kernel::format_of(kernel.file) == Some(vmlinux::FORMAT.name) {
        return Description::Vmlinux { file: path, payload, init_size, alignment, entry_offset };
    }
    Description::BzImage {
        protocol: format!("{}.{:02}", kernel.version >> 8, kernel.version & 0xff),
        payload,
        init_size,
        alignment,
        pref_address: kernel.pref_address,
        cmdline_size: kernel.cmdline_size.into(),
        xloadflags: kernel.xloadflags,
        entry_offset,
        inside: wrapper(&file.bytes),
        file: path,
    }
}

fn wrapper(bytes: &[u8]) -> Option<Wrapper> {
    let format = kernel::format_of(bytes).filter(|&format| format == uki::FORMAT.name)?;
    let uki::Defaults { initrd, command_line } = uki::defaults(bytes);
    Some(Wrapper {
        format,
        initrd: initrd.map(|initrd| initrd.len() as u64),
        command_line: command_line.map(cmdline::text),
    })
}

impl fmt::Display for Description {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BzImage {
                file,
                protocol,
                payload,
                init_size,
                alignment,
                pref_address,
                cmdline_size,
                xloadflags,
                entry_offset,
                inside,
            } => {
                match inside {
                    Some(Wrapper { format, .. }) => {
                        writeln!(out, "{file}: {format} with a bzImage, boot protocol {protocol}")?
                    }
                    None => writeln!(out, "{file}: bzImage, boot protocol {protocol}")?,
                }
                writeln!(out, "payload        {payload} bytes")?;
                writeln!(
                    out,
                    "needs          {init_size} bytes at a multiple of {alignment:#x}, at \
                     {pref_address:#x} or above"
                )?;
                writeln!(out, "command line   up to {cmdline_size} bytes")?;
                writeln!(out, "xloadflags     {xloadflags:#x}")?;
                writeln!(out, "entry          load address + {entry_offset:#x}")?;
                let Some(Wrapper { initrd, command_line, .. }) = inside else { return Ok(()) };
                if let Some(initrd) = initrd {
                    writeln!(out, "own initrd     {initrd} bytes")?;
                }
                match command_line {
                    Some(line) => writeln!(out, "own command    {line}"),
                    None => Ok(()),
                }
            }
            Self::Vmlinux { file, payload, init_size, alignment, entry_offset } => {
                writeln!(out, "{file}: vmlinux")?;
                writeln!(out, "payload        {payload} bytes")?;
                writeln!(out, "needs          {init_size} bytes at a multiple of {alignment:#x}")?;
                writeln!(out, "entry          load address + {entry_offset:#x}")
            }
            Self::Purgatory {
                file,
                block_version,
                block_size,
                block_offset,
                text,
                len,
                entry_offset,
            } => {
                writeln!(out, "{}: purgatory, handoff block version {block_version}", file)?;
                writeln!(out, "text           {text} bytes, verified")?;
                writeln!(out, "block          {block_size} bytes at {block_offset:#x}")?;
                writeln!(
                    out,
                    "memory         {len} bytes, without the leaf table and the elfcorehdr copy"
                )?;
                writeln!(out, "entry          load address + {entry_offset:#x}")
            }
            Self::ForeignPurgatory {
                file,
                whose,
                file_len,
                len,
                alignment,
                limit,
                entry_offset,
                prints,
                ..
            } => {
                writeln!(
                    out,
                    "{file}: purgatory like {whose}, a relocatable object that is configured \
                     through its symbols"
                )?;
                writeln!(out, "verifies       up to {REGIONS} regions with one SHA-256")?;
                writeln!(out, "console        {}", if *prints { "an 8250" } else { "none" })?;
                writeln!(
                    out,
                    "memory         {len} bytes at a multiple of {alignment:#x}, {file_len} of \
                     them from the file"
                )?;
                match limit {
                    Some(limit) => writeln!(out, "runs           below {} GiB only", limit >> 30)?,
                    None => writeln!(out, "runs           anywhere")?,
                }
                writeln!(out, "entry          load address + {entry_offset:#x}")
            }
        }
    }
}
