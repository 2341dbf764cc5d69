//! `[1b]` What EFI firmware left: tables, and the memory of its runtime services.

use crate::machine::source::{
    EFI_CONFIG_TABLE, EFI_FW_VENDOR, EFI_MAP_ATTRIBUTE, EFI_MAP_NUM_PAGES, EFI_MAP_PHYS_ADDR,
    EFI_MAP_TYPE, EFI_MAP_VIRT_ADDR, EFI_SYSTAB, Found, Source, Tree, parse_hexadecimal, quoted,
};
use crate::machine::{Efi, EfiMemoryDescriptor, Error};

/// `None` on a machine that EFI did not boot. With `efi=noruntime` the runtime map is empty, but
/// the tables are there.
pub(in crate::machine) fn read(tree: Tree<'_>) -> Result<Option<Efi>, Error> {
    let Some(systab) = tree.optional(&EFI_SYSTAB)? else { return Ok(None) };
    let address = |source: &Source| tree.optional(source)?.map_or(Ok(0), |file| file.hexadecimal());
    let table = |names: &[&str]| {
        names.iter().find_map(|name| table_address(&systab, name).transpose()).transpose()
    };
    Ok(Some(Efi {
        fw_vendor: address(&EFI_FW_VENDOR)?,
        config_table: address(&EFI_CONFIG_TABLE)?,
        smbios: table(&["SMBIOS", "SMBIOS3"])?.unwrap_or(0),
        acpi_rsdp: table(&["ACPI20", "ACPI"])?.unwrap_or(0),
        // A directory lists 10 before 2; `numbers` sorts.
        runtime_map: tree
            .numbers(&EFI_MAP_TYPE)?
            .into_iter()
            .map(|number| descriptor(tree, number))
            .collect::<Result<_, _>>()?,
    }))
}

/// The address in the line `NAME=0x…` of systab, if it has one.
fn table_address(systab: &Found, name: &str) -> Result<Option<u64>, Error> {
    let value = systab.text()?.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    value
        .map(|value| parse_hexadecimal(value).ok_or_else(|| systab.garbled(quoted(value))))
        .transpose()
}

fn descriptor(tree: Tree<'_>, number: u32) -> Result<EfiMemoryDescriptor, Error> {
    let value = |source| tree.required_at(source, number)?.hexadecimal();
    let kind = tree.required_at(&EFI_MAP_TYPE, number)?;
    Ok(EfiMemoryDescriptor {
        kind: u32::try_from(kind.hexadecimal()?).map_err(|_| kind.garbled("more than 32 bits"))?,
        phys_addr: value(&EFI_MAP_PHYS_ADDR)?,
        virt_addr: value(&EFI_MAP_VIRT_ADDR)?,
        num_pages: value(&EFI_MAP_NUM_PAGES)?,
        attribute: value(&EFI_MAP_ATTRIBUTE)?,
    })
}
