//! For tests: the smallest capture kernel and purgatory that pass all checks.

use object::elf::{
    ELFCLASS64, ELFDATA2LSB, ELFMAG, ELFOSABI_NONE, EM_X86_64, ET_DYN, ET_EXEC, EV_CURRENT,
    FileHeader64, FileType, Ident, Machine, PF_R, PF_W, PF_X, PT_LOAD, ProgramFlags,
    ProgramHeader64, SHN_UNDEF, SHT_NOBITS, SHT_NULL, SHT_PROGBITS, SHT_RELA, SHT_STRTAB,
    SHT_SYMTAB, SectionHeader64, SectionType, Sym64, SymbolInfo, SymbolSection,
};
use object::pod::bytes_of;
use object::{LittleEndian, U16, U32, U64};

/// `init_size` of the capture kernel. It exceeds the payload, as in every real kernel.
pub const INIT_SIZE: u32 = 4 << 20;
/// `pref_address` of the capture kernel.
pub const PREF_ADDRESS: u64 = 0x100_0000;

/// A bzImage of boot protocol 2.15 whose payload is `payload`, a multiple of 16 bytes long.
pub fn bzimage(payload: &[u8]) -> Vec<u8> {
    let mut file = vec![0; 1024];
    file[0x1ef] = 0xff; // sentinel
    file[0x1f1] = 1; // setup_sects
    file[0x1f4..0x1f8].copy_from_slice(&(payload.len() as u32 / 16).to_le_bytes()); // syssize
    file[0x1fe..0x200].copy_from_slice(&0xaa55_u16.to_le_bytes());
    file[0x200..0x202].copy_from_slice(&[0xeb, 0x6a]); // jump over the rest of the header
    file[0x202..0x206].copy_from_slice(b"HdrS");
    file[0x206..0x208].copy_from_slice(&0x020f_u16.to_le_bytes()); // version
    file[0x211] = 1; // loadflags: LOADED_HIGH
    file[0x22c..0x230].copy_from_slice(&0x7fff_ffff_u32.to_le_bytes()); // initrd_addr_max
    file[0x230..0x234].copy_from_slice(&0x20_0000_u32.to_le_bytes()); // kernel_alignment
    file[0x234] = 1; // relocatable_kernel
    file[0x235] = 21; // min_alignment
    file[0x236..0x238].copy_from_slice(&0x7f_u16.to_le_bytes()); // xloadflags
    file[0x238..0x23c].copy_from_slice(&2047_u32.to_le_bytes()); // cmdline_size
    file[0x258..0x260].copy_from_slice(&PREF_ADDRESS.to_le_bytes());
    file[0x260..0x264].copy_from_slice(&INIT_SIZE.to_le_bytes());
    file.extend(payload);
    file
}

/// Bytes that differ from one leaf to the next.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len as u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// A purgatory's ELF file, in parts that a test can damage.
#[derive(Clone, Debug)]
pub struct Elf {
    pub machine: Machine,
    pub file_type: FileType,
    pub entry: u64,
    pub text: Vec<u8>,
    pub text_flags: ProgramFlags,
    pub handoff_name: &'static str,
    pub handoff: Vec<u8>,
    pub handoff_addr: u64,
    pub data_addr: u64,
    pub bss: u64,
    pub undefined: bool,
    pub relocations: usize,
}

/// A valid purgatory: 5000 bytes of text, an empty block, 3000 bytes of bss.
pub fn purgatory() -> Elf {
    Elf {
        machine: EM_X86_64,
        file_type: ET_DYN,
        entry: 0x10,
        text: pattern(5000),
        text_flags: PF_R | PF_X,
        handoff_name: handoff::HANDOFF_SECTION,
        handoff: vec![0; size_of::<handoff::Block>()],
        handoff_addr: 0x2000,
        data_addr: 0x2000,
        bss: 3000,
        undefined: false,
        relocations: 0,
    }
}

impl Elf {
    /// The file's bytes: headers, text, block, tables, section headers.
    pub fn bytes(&self) -> Vec<u8> {
        let mut names = vec![0];
        let mut name = |text: &str| {
            let at = names.len() as u32;
            names.extend(text.as_bytes());
            names.push(0);
            at
        };
        let [text_name, handoff_name, bss_name, symtab_name, strtab_name, rela_name] =
            [".text", self.handoff_name, ".bss", ".symtab", ".strtab", ".rela.dyn"].map(&mut name);
        let (defined, missing) = (name("_start"), name("memcpy"));

        let mut file = vec![0; 0x1000];
        let mut append = |bytes: &[u8], alignment: usize| {
            file.resize(file.len().next_multiple_of(alignment), 0);
            let at = file.len() as u64;
            file.extend(bytes);
            (at, bytes.len() as u64)
        };
        let text = append(&self.text, 0x1000);
        let data = append(&self.handoff, 0x1000);
        let symbols = [symbol(0, 0), symbol(defined, 1), symbol(missing, SHN_UNDEF.0)];
        let count = if self.undefined { 3 } else { 2 };
        let symbols: Vec<u8> = symbols[..count].iter().flat_map(bytes_of).copied().collect();
        let symtab = append(&symbols, 8);
        let strtab = append(&names, 1);
        let rela = append(&vec![0; self.relocations * 24], 8);
        let sections = [
            section(0, SHT_NULL, 0, (0, 0), 0, 0),
            section(text_name, SHT_PROGBITS, 0, text, 0, 0),
            section(handoff_name, SHT_PROGBITS, self.handoff_addr, data, 0, 0),
            section(
                bss_name,
                SHT_NOBITS,
                self.data_addr + data.1,
                (data.0 + data.1, self.bss),
                0,
                0,
            ),
            section(symtab_name, SHT_SYMTAB, 0, symtab, 5, 24),
            section(strtab_name, SHT_STRTAB, 0, strtab, 0, 0),
            section(rela_name, SHT_RELA, 0, rela, 4, 24),
        ];
        let section_bytes: Vec<u8> = sections.iter().flat_map(bytes_of).copied().collect();
        let (section_table, _) = append(&section_bytes, 8);
        let segments = [
            load(self.text_flags, 0, text, text.1),
            load(PF_R | PF_W, self.data_addr, data, data.1 + self.bss),
        ];
        let header = self.header(section_table, sections.len() as u16);
        file[..64].copy_from_slice(bytes_of(&header));
        for (slot, segment) in file[64..].chunks_mut(56).zip(&segments) {
            slot.copy_from_slice(bytes_of(segment));
        }
        file
    }

    fn header(&self, section_table: u64, sections: u16) -> FileHeader64<LittleEndian> {
        let header = file_header(self.machine, self.file_type, section_table, sections, 5);
        FileHeader64 {
            e_entry: U64::new(LittleEndian, self.entry),
            e_phoff: U64::new(LittleEndian, 64),
            e_phentsize: U16::new(LittleEndian, 56),
            e_phnum: U16::new(LittleEndian, 2),
            ..header
        }
    }
}

/// An ELF header without program headers; `names` is the index of the section with the names of
/// sections.
pub fn file_header(
    machine: Machine,
    file_type: FileType,
    section_table: u64,
    sections: u16,
    names: u16,
) -> FileHeader64<LittleEndian> {
    FileHeader64 {
        e_ident: Ident {
            magic: ELFMAG,
            class: ELFCLASS64,
            data: ELFDATA2LSB,
            version: EV_CURRENT,
            os_abi: ELFOSABI_NONE,
            abi_version: 0,
            padding: [0; 7],
        },
        e_type: U16::new(LittleEndian, file_type),
        e_machine: U16::new(LittleEndian, machine),
        e_version: U32::new(LittleEndian, EV_CURRENT.0.into()),
        e_entry: U64::default(),
        e_phoff: U64::default(),
        e_shoff: U64::new(LittleEndian, section_table),
        e_flags: U32::default(),
        e_ehsize: U16::new(LittleEndian, 64),
        e_phentsize: U16::default(),
        e_phnum: U16::default(),
        e_shentsize: U16::new(LittleEndian, 64),
        e_shnum: U16::new(LittleEndian, sections),
        e_shstrndx: U16::new(LittleEndian, SymbolSection(names)),
    }
}

fn load(
    flags: ProgramFlags,
    addr: u64,
    (offset, file_len): (u64, u64),
    len: u64,
) -> ProgramHeader64<LittleEndian> {
    let word = |value| U64::new(LittleEndian, value);
    ProgramHeader64 {
        p_type: U32::new(LittleEndian, PT_LOAD),
        p_flags: U32::new(LittleEndian, flags),
        p_offset: word(offset),
        p_vaddr: word(addr),
        p_paddr: word(addr),
        p_filesz: word(file_len),
        p_memsz: word(len),
        p_align: word(0x1000),
    }
}

/// A section header. The caller changes flags, alignment (1) and the rest as needed.
pub fn section(
    name: u32,
    kind: SectionType,
    addr: u64,
    (offset, len): (u64, u64),
    link: u32,
    entry_len: u64,
) -> SectionHeader64<LittleEndian> {
    let word = |value| U64::new(LittleEndian, value);
    SectionHeader64 {
        sh_name: U32::new(LittleEndian, name),
        sh_type: U32::new(LittleEndian, kind),
        sh_flags: U64::default(),
        sh_addr: word(addr),
        sh_offset: word(offset),
        sh_size: word(len),
        sh_link: U32::new(LittleEndian, link),
        sh_info: U32::default(),
        sh_addralign: word(1),
        sh_entsize: word(entry_len),
    }
}

/// A global symbol at 0 of a section.
pub fn symbol(name: u32, section: u16) -> Sym64<LittleEndian> {
    Sym64 {
        st_name: U32::new(LittleEndian, name),
        st_info: SymbolInfo(0x10), // global
        st_other: Default::default(),
        st_shndx: U16::new(LittleEndian, SymbolSection(section)),
        st_value: U64::default(),
        st_size: U64::default(),
    }
}

/// A unified kernel image with these sections, with only the parts that are read: headers of an
/// x86-64 EFI program, and content padded to 512 bytes.
pub fn uki(sections: &[(&str, &[u8])]) -> Vec<u8> {
    const PE_AT: usize = 0x80;
    const OPTIONAL_HEADER_LEN: usize = 112;
    const FILE_ALIGNMENT: usize = 512;
    let mut file = vec![0; PE_AT];
    file[..2].copy_from_slice(b"MZ");
    file[0x3c] = PE_AT as u8;
    file.extend(b"PE\0\0");
    file.extend(0x8664u16.to_le_bytes()); // IMAGE_FILE_MACHINE_AMD64
    file.extend((sections.len() as u16).to_le_bytes());
    file.extend([0; 12]); // no time, no symbols
    file.extend((OPTIONAL_HEADER_LEN as u16).to_le_bytes());
    file.extend(0x0022u16.to_le_bytes()); // executable, above 2 GiB
    let optional = file.len();
    file.resize(optional + OPTIONAL_HEADER_LEN, 0);
    file[optional..optional + 2].copy_from_slice(&0x020bu16.to_le_bytes()); // PE32+
    let mut content = (file.len() + sections.len() * 40).next_multiple_of(FILE_ALIGNMENT);
    for (name, bytes) in sections {
        let (raw_len, mut raw_name) = (bytes.len().next_multiple_of(FILE_ALIGNMENT), [0; 8]);
        raw_name[..name.len()].copy_from_slice(name.as_bytes());
        file.extend(raw_name);
        for word in [bytes.len(), 0x1_0000 + content, raw_len, content, 0, 0, 0, 0x4000_0040] {
            file.extend((word as u32).to_le_bytes());
        }
        content += raw_len;
    }
    for (_, bytes) in sections {
        file.resize(file.len().next_multiple_of(FILE_ALIGNMENT), 0);
        file.extend(*bytes);
    }
    file.resize(content, 0);
    file
}

/// A segment of a vmlinux.
#[derive(Clone, Debug)]
pub struct VmlinuxSegment {
    pub paddr: u64,
    pub bytes: Vec<u8>,
    pub memsz: u64,
}

/// A vmlinux with these segments, each mapped where Linux maps itself.
pub fn vmlinux(entry: u64, segments: &[VmlinuxSegment]) -> Vec<u8> {
    const START_KERNEL_MAP: u64 = 0xffff_ffff_8000_0000;
    let header = FileHeader64 {
        e_entry: U64::new(LittleEndian, entry),
        e_phoff: U64::new(LittleEndian, 64),
        e_phentsize: U16::new(LittleEndian, 56),
        e_phnum: U16::new(LittleEndian, segments.len() as u16),
        ..file_header(EM_X86_64, ET_EXEC, 0, 0, 0)
    };
    let mut file = bytes_of(&header).to_vec();
    let mut offset = 0x1000;
    for VmlinuxSegment { paddr, bytes, memsz } in segments {
        let mut header = load(
            PF_R | PF_X,
            START_KERNEL_MAP.wrapping_add(*paddr),
            (offset, bytes.len() as u64),
            *memsz,
        );
        header.p_paddr = U64::new(LittleEndian, *paddr);
        file.extend(bytes_of(&header));
        offset += bytes.len() as u64;
    }
    file.resize(0x1000, 0);
    segments.iter().for_each(|segment| file.extend(&segment.bytes));
    file
}
