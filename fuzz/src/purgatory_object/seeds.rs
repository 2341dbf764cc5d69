//! Initial objects.

use super::SHT_RELA;
use crate::Seed;

/// An object of 40 bytes of code, 24 of data and 64 of zeroes, with these relocations of the code:
/// offset, type, symbol and addend.
fn object(relocation_kind: u32, relocations: &[(u64, u32, u32, i64)]) -> Vec<u8> {
    const NAMES: &[u8] =
        b"\0.text\0.data\0.bss\0.rela.text\0.symtab\0.strtab\0purgatory_start\0table\0memcpy\0";
    let name = |text: &str| {
        NAMES.windows(text.len()).position(|at| at == text.as_bytes()).expect("it is among them")
            as u32
    };
    let mut file = vec![0; 64];
    let mut append = |bytes: &[u8]| {
        file.resize(file.len().next_multiple_of(8), 0);
        let at = file.len() as u64;
        file.extend(bytes);
        (at, bytes.len() as u64)
    };
    let (text, data) = (append(&[0x90; 40]), append(&[0x11; 24]));
    let entries: Vec<u8> = relocations
        .iter()
        .flat_map(|&(at, kind, symbol, addend)| {
            [at, u64::from(symbol) << 32 | u64::from(kind), addend as u64]
                .into_iter()
                .flat_map(u64::to_le_bytes)
        })
        .collect();
    let rela = append(&entries);
    let mut symbols = vec![0; 24];
    // Name, section, value, size.
    for (text, section, value, len) in
        [("purgatory_start", 1_u16, 8_u64, 0_u64), ("table", 2, 8, 16), ("memcpy", 0, 0, 0)]
    {
        symbols.extend(name(text).to_le_bytes());
        symbols.extend([0x10, 0]);
        symbols.extend(section.to_le_bytes());
        symbols.extend([value, len].into_iter().flat_map(u64::to_le_bytes));
    }
    let (symbols, names) = (append(&symbols), append(NAMES));
    // Name, type, flags, place in the file, link, info, alignment.
    let sections = [
        (".text", 1, 6, text, 0, 0, 16),
        (".data", 1, 3, data, 0, 0, 32),
        (".bss", 8, 3, (data.0, 64), 0, 0, 256),
        (".rela.text", relocation_kind, 0, rela, 5, 1, 8),
        (".symtab", 2, 0, symbols, 6, 1, 8),
        (".strtab", 3, 0, names, 0, 0, 1),
    ];
    let mut headers = vec![0; 64];
    for (text, kind, flags, (offset, len), link, info, alignment) in sections {
        headers.extend([name(text), kind].into_iter().flat_map(u32::to_le_bytes));
        headers.extend([flags, 0, offset, len].into_iter().flat_map(u64::to_le_bytes));
        headers.extend([link, info].into_iter().flat_map(u32::to_le_bytes));
        headers.extend([alignment, 0_u64].into_iter().flat_map(u64::to_le_bytes));
    }
    let (table, _) = append(&headers);
    file[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    file[16..20].copy_from_slice(&[1, 0, 62, 0]);
    file[20] = 1;
    file[40..48].copy_from_slice(&table.to_le_bytes());
    file[52] = 64;
    for (at, value) in [(58, 64), (60, sections.len() as u8 + 1), (62, 6)] {
        file[at] = value;
    }
    file
}

/// Objects with every supported relocation, and similar ones.
pub fn seeds() -> Vec<Seed> {
    const RELA: u32 = SHT_RELA as u32;
    let every_type = [
        (0, 1, 2, -4),
        (8, 2, 1, -4),
        (12, 4, 1, 7),
        (16, 10, 2, 0),
        (20, 11, 2, 0),
        (24, 0, 0, 0),
    ];
    vec![
        Seed::taken("no-relocation", object(RELA, &[])),
        Seed::taken("every-type", object(RELA, &every_type)),
        Seed::taken(
            "only-low",
            object(RELA, &[(16, 11, 2, 0x7fff_0000), (20, 10, 2, 0x7fff_0000)]),
        ),
        Seed::taken("too-far", object(RELA, &[(16, 2, 2, i64::MAX)])),
        Seed::refused("undefined", object(RELA, &[(16, 2, 3, 0)])),
        Seed::refused("gotpcrel", object(RELA, &[(16, 9, 1, 0)])),
        Seed::refused("without-addend", object(9, &every_type)),
    ]
}
