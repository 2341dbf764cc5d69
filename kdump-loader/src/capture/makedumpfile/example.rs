//! Programs and libraries, as small as ld.so takes them.

use object::LittleEndian;
use object::elf::{
    DT_NEEDED, DT_NULL, DT_RUNPATH, DT_STRSZ, DT_STRTAB, Dyn64, EM_X86_64, ET_DYN, FileHeader64,
    PT_DYNAMIC, PT_INTERP, PT_LOAD, ProgramHeader64,
};
use object::pod::bytes_of;

/// The interpreter of programs.
pub const INTERPRETER: &str = "/lib64/ld-linux-x86-64.so.2";

/// What a file has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Elf {
    pub interpreter: Option<&'static str>,
    pub libraries: &'static [&'static str],
    pub run_path: Option<&'static str>,
    /// Text that no header leads to.
    pub text: &'static str,
}

/// A library that needs others.
pub fn library(libraries: &'static [&'static str]) -> Vec<u8> {
    Elf { libraries, ..Elf::default() }.bytes()
}

fn zeroed<T: object::pod::Pod>() -> T {
    let zeroes = vec![0_u64; size_of::<T>().div_ceil(8)];
    let (value, _) = object::pod::from_bytes::<T>(object::pod::bytes_of_slice(&zeroes)).unwrap();
    *value
}

impl Elf {
    /// The file. It is loaded at address 0, so addresses are offsets.
    pub fn bytes(&self) -> Vec<u8> {
        let head = size_of::<FileHeader64<LittleEndian>>();
        let each = size_of::<ProgramHeader64<LittleEndian>>();
        let mut bytes = vec![0; head + 3 * each];
        let mut strings = vec![0];
        let mut string = |text: &str| {
            let at = strings.len() as u64;
            strings.extend(text.bytes().chain([0]));
            at
        };
        let mut entries: Vec<(i64, u64)> =
            self.libraries.iter().map(|name| (DT_NEEDED.0, string(name))).collect();
        entries.extend(self.run_path.map(|path| (DT_RUNPATH.0, string(path))));
        let table = bytes.len() as u64;
        entries.push((DT_STRTAB.0, table));
        entries.push((DT_STRSZ.0, strings.len() as u64));
        entries.push((DT_NULL.0, 0));
        bytes.extend(strings);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        let dynamic = bytes.len() as u64;
        for (tag, value) in &entries {
            bytes.extend(tag.to_le_bytes());
            bytes.extend(value.to_le_bytes());
        }
        let interpreter = bytes.len() as u64;
        bytes.extend(self.interpreter.unwrap_or_default().bytes().chain([0]));
        bytes.extend(self.text.bytes());

        let dynamic_len = (entries.len() * size_of::<Dyn64<LittleEndian>>()) as u64;
        let interpreter_len = self.interpreter.map_or(0, |path| path.len() as u64 + 1);
        let mut segments = vec![(PT_LOAD, 0, bytes.len() as u64)];
        if !self.libraries.is_empty() || self.run_path.is_some() {
            segments.push((PT_DYNAMIC, dynamic, dynamic_len));
        }
        if self.interpreter.is_some() {
            segments.push((PT_INTERP, interpreter, interpreter_len));
        }
        let mut header = zeroed::<FileHeader64<LittleEndian>>();
        let little = LittleEndian;
        header.e_ident.magic = object::elf::ELFMAG;
        header.e_ident.class = object::elf::ELFCLASS64;
        header.e_ident.data = object::elf::ELFDATA2LSB;
        header.e_ident.version = object::elf::EV_CURRENT;
        header.e_type.set(little, ET_DYN);
        header.e_machine.set(little, EM_X86_64);
        header.e_phoff.set(little, head as u64);
        header.e_ehsize.set(little, head as u16);
        header.e_phentsize.set(little, each as u16);
        header.e_phnum.set(little, segments.len() as u16);
        bytes[..head].copy_from_slice(bytes_of(&header));
        for (number, (kind, offset, len)) in segments.into_iter().enumerate() {
            let mut segment = zeroed::<ProgramHeader64<LittleEndian>>();
            segment.p_type.set(little, kind);
            for field in [&mut segment.p_offset, &mut segment.p_vaddr] {
                field.set(little, offset);
            }
            for field in [&mut segment.p_filesz, &mut segment.p_memsz] {
                field.set(little, len);
            }
            bytes[head + number * each..][..each].copy_from_slice(bytes_of(&segment));
        }
        bytes
    }
}
