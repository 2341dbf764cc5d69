//! A unified kernel image with the sections that `ukify` writes. It lacks the EFI stub, which kexec
//! does not run.

use object::pe::{
    IMAGE_FILE_EXECUTABLE_IMAGE, IMAGE_FILE_MACHINE_AMD64, IMAGE_SCN_CNT_INITIALIZED_DATA,
    IMAGE_SCN_MEM_READ,
};
use object::pe::{IMAGE_SIZEOF_SHORT_NAME, IMAGE_SUBSYSTEM_EFI_APPLICATION};
use object::write::pe::{NtHeaders, Writer};

/// Alignment of sections in memory, and in the file, as binutils' defaults have them.
const SECTION_ALIGNMENT: u32 = 4096;
const FILE_ALIGNMENT: u32 = 512;

pub fn build(sections: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(true, SECTION_ALIGNMENT, FILE_ALIGNMENT, &mut bytes);
    writer.reserve_dos_header();
    writer.reserve_nt_headers(0);
    writer.reserve_section_headers(sections.len() as u16);
    let characteristics = IMAGE_SCN_CNT_INITIALIZED_DATA | IMAGE_SCN_MEM_READ;
    let ranges: Vec<_> = sections
        .iter()
        .map(|(name, content)| {
            let mut padded = [0; IMAGE_SIZEOF_SHORT_NAME];
            padded[..name.len()].copy_from_slice(name.as_bytes());
            writer.reserve_section(
                padded,
                characteristics,
                content.len() as u32,
                content.len() as u32,
            )
        })
        .collect();
    writer.write_empty_dos_header().expect("a Vec takes every byte");
    writer.write_nt_headers(NtHeaders {
        machine: IMAGE_FILE_MACHINE_AMD64,
        time_date_stamp: 0,
        characteristics: IMAGE_FILE_EXECUTABLE_IMAGE,
        major_linker_version: 0,
        minor_linker_version: 0,
        address_of_entry_point: 0,
        image_base: 0,
        major_operating_system_version: 0,
        minor_operating_system_version: 0,
        major_image_version: 0,
        minor_image_version: 0,
        major_subsystem_version: 0,
        minor_subsystem_version: 0,
        subsystem: IMAGE_SUBSYSTEM_EFI_APPLICATION,
        dll_characteristics: Default::default(),
        size_of_stack_reserve: 0,
        size_of_stack_commit: 0,
        size_of_heap_reserve: 0,
        size_of_heap_commit: 0,
    });
    writer.write_section_headers();
    for (range, (_, content)) in ranges.iter().zip(sections) {
        writer.write_section(range.file_offset, content);
    }
    writer.write_file_align();
    bytes
}
