//! (1) The machine's description: facts that the crash kernel prints, made into the files that
//! Linux shows and the loader reads.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;

use loader::machine::Machine;
use orders::map;

use crate::error::{Error, with_causes};
use crate::host;

/// What every fact's line begins with.
pub const FACT: &str = "fact ";

/// What Debian's kernels show in crash_elfcorehdr_size: room for 8192 CPUs and 8192 ranges
/// (`crash_get_elfcorehdr_size`, arch/x86/kernel/crash.c).
const ELFCOREHDR_SIZE: u64 = (2 + 8192 + 8192) * 56;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    ram: Vec<Range<u64>>,
    reserved: Vec<Range<u64>>,
    /// The crash kernel's text: virtual address, and physical range.
    text: (u64, Range<u64>),
    tsc_khz: u32,
    physical_bits: u32,
    flags: Vec<String>,
    apic_ids: Vec<u32>,
}

impl Facts {
    /// Reads the crash kernel's lines; those that are no facts are skipped.
    pub fn parse<'a>(lines: impl IntoIterator<Item = &'a str>) -> Result<Self, Error> {
        let mut facts = Self::default();
        for line in lines {
            let Some(fact) = line.strip_prefix(FACT) else { continue };
            let wrong = || Error::unreadable("a fact of the crash kernel", line);
            let (name, values) = fact.split_once(' ').ok_or_else(wrong)?;
            facts.take(name, values).ok_or_else(wrong)?;
        }
        facts.missing().map_or(Ok(()), |name| {
            Err(Error::unreadable("the crash kernel's facts", format!("nothing is said of {name}")))
        })?;
        Ok(facts)
    }

    /// A fact that every machine has and this one lacks.
    fn missing(&self) -> Option<&'static str> {
        let known = [
            ("ram", !self.ram.is_empty()),
            ("text", !self.text.1.is_empty()),
            ("tsc_khz", self.tsc_khz != 0),
            ("physical_bits", self.physical_bits != 0),
            ("flags", !self.flags.is_empty()),
            ("apic", !self.apic_ids.is_empty()),
        ];
        known.iter().find(|(_, known)| !known).map(|(name, _)| *name)
    }

    fn take(&mut self, name: &str, values: &str) -> Option<()> {
        let hex = |text: &str| u64::from_str_radix(text.strip_prefix("0x")?, 16).ok();
        let range = || {
            let (start, end) = values.split_once(' ')?;
            Some(hex(start)?..hex(end)?)
        };
        match name {
            "ram" => self.ram.push(range()?),
            "reserved" => self.reserved.push(range()?),
            "text" => {
                let mut words = values.split(' ').map(hex);
                let (address, start, len) = (words.next()??, words.next()??, words.next()??);
                self.text = (address, start..start + len);
            }
            "tsc_khz" => self.tsc_khz = values.parse().ok()?,
            "physical_bits" => self.physical_bits = values.parse().ok()?,
            "flags" => self.flags = values.split(' ').map(str::to_owned).collect(),
            "apic" => self.apic_ids.push(values.split_once(' ')?.1.parse().ok()?),
            _ => return None,
        }
        Some(())
    }

    /// Whether `other` is the same machine: all but the clock, which is measured anew each time.
    pub fn same_machine(&self, other: &Self) -> bool {
        Self { tsc_khz: 0, ..self.clone() } == Self { tsc_khz: 0, ..other.clone() }
    }

    /// The machine as the loader reads it from files in `root`. `la57`: the running kernel uses
    /// five levels of page tables.
    pub fn machine(&self, root: &Path, possible_cpus: u32, la57: bool) -> Result<Machine, Error> {
        for (path, bytes) in self.files(possible_cpus, la57) {
            host::write(&root.join(path), &bytes)?;
        }
        Machine::read(root, None)
            .map_err(|error| Error::unreadable("the machine's files", with_causes(&error, ": ")))
    }

    fn files(&self, possible_cpus: u32, la57: bool) -> BTreeMap<String, Vec<u8>> {
        let kib: u64 = self.ram.iter().map(|range| (range.end - range.start) >> 10).sum();
        let texts = [
            ("proc/iomem", self.iomem()),
            ("proc/cpuinfo", self.cpuinfo(la57)),
            ("proc/cmdline", "console=ttyS0 crashkernel=64M\n".into()),
            ("proc/meminfo", format!("MemTotal: {kib} kB\n")),
            ("proc/sys/kernel/kexec_load_disabled", "0\n".into()),
            ("sys/kernel/crash_elfcorehdr_size", format!("{ELFCOREHDR_SIZE}\n")),
            (
                "sys/kernel/vmcoreinfo",
                format!("{:#018x} {:x}\n", map::CRASH_NOTE, map::CRASH_NOTE_LEN),
            ),
            ("sys/devices/system/cpu/possible", format!("0-{}\n", possible_cpus - 1)),
            ("kdump-loader/tsc_khz", format!("{}\n", self.tsc_khz)),
        ];
        let mut files: BTreeMap<_, _> =
            texts.map(|(path, text)| (path.to_owned(), text.into_bytes())).into();
        for cpu in 0..self.apic_ids.len() as u64 {
            let path = |file: &str| format!("sys/devices/system/cpu/cpu{cpu}/{file}");
            let note = map::CPU_NOTES + cpu * map::CPU_NOTE_STRIDE;
            files.insert(path("crash_notes"), format!("{note:x}\n").into_bytes());
            files.insert(path("crash_notes_size"), format!("{}\n", map::CPU_NOTE_LEN).into_bytes());
        }
        files.insert("sys/kernel/boot_params/data".into(), vec![0; 4096]);
        files.insert("proc/kcore".into(), self.kcore());
        files
    }

    fn iomem(&self) -> String {
        let mut lines: Vec<_> =
            self.reserved.iter().map(|range| (range.clone(), "Reserved")).collect();
        lines.extend(self.ram.iter().map(|range| (range.clone(), "System RAM")));
        lines.sort_by_key(|(range, _)| range.start);
        let crash_region = map::CRASH_REGION_START..map::CRASH_REGION_START + map::CRASH_REGION_LEN;
        let inner = [(self.text.1.clone(), "Kernel code"), (crash_region, "Crash kernel")];
        let mut text = String::new();
        for (range, name) in lines {
            // A String takes whatever is written to it.
            let _ = writeln!(text, "{:08x}-{:08x} : {name}", range.start, range.end - 1);
            for (part, name) in
                inner.iter().filter(|(part, _)| range.start <= part.start && part.end <= range.end)
            {
                let _ = writeln!(text, "  {:08x}-{:08x} : {name}", part.start, part.end - 1);
            }
        }
        text
    }

    fn cpuinfo(&self, la57: bool) -> String {
        // Linux clears la57 when it does not use it.
        let flags: Vec<&str> =
            self.flags.iter().map(String::as_str).filter(|flag| la57 || *flag != "la57").collect();
        let cpu = |number: usize| {
            let (flags, bits) = (flags.join(" "), self.physical_bits);
            format!(
                "processor\t: {number}\nflags\t\t: {flags}\naddress sizes\t: {bits} bits \
                 physical, 48 bits virtual\n\n"
            )
        };
        (0..self.apic_ids.len()).map(cpu).collect()
    }

    /// An ELF core whose program headers show the text and the direct map, as /proc/kcore's do
    /// (fs/proc/kcore.c).
    fn kcore(&self) -> Vec<u8> {
        let mut loads = vec![(self.text.0, self.text.1.clone())];
        loads.extend(self.ram.iter().map(|range| (map::DIRECT_MAP + range.start, range.clone())));
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(16, 0);
        bytes.extend([4, 0, 62, 0, 1, 0, 0, 0]); // ET_CORE, EM_X86_64, EV_CURRENT
        // e_entry, e_phoff, e_shoff
        bytes.extend([0_u64, 64, 0].map(u64::to_le_bytes).as_flattened());
        bytes.extend([0, 0, 0, 0, 64, 0, 56, 0, loads.len() as u8 + 1, 0, 0, 0, 0, 0, 0, 0]);
        let notes_at = bytes.len() as u64 + 56 * (loads.len() as u64 + 1);
        bytes.extend([4, 0, 0, 0, 4, 0, 0, 0]); // PT_NOTE
        bytes.extend([notes_at, 0, 0, 0, 0, 0].map(u64::to_le_bytes).as_flattened());
        for (address, range) in loads {
            let len = range.end - range.start;
            bytes.extend([1, 0, 0, 0, 7, 0, 0, 0]); // PT_LOAD, RWX
            bytes.extend(
                [address & 0xffff_ffff_ffff, address, range.start, len, len, 4096]
                    .map(u64::to_le_bytes)
                    .as_flattened(),
            );
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: [&str; 8] = [
        "fact ram 0x0 0x9f000",
        "fact ram 0x100000 0x1ffdf000",
        "fact reserved 0x1ffdf000 0x20000000",
        "fact text 0xffffffff81002000 0x1001000 0xb000",
        "fact tsc_khz 2600041",
        "fact physical_bits 40",
        "fact flags ssse3 sse4_1 sha_ni pdpe1gb lm la57",
        "fact apic 0 0",
    ];

    #[test]
    fn another_machine_is_told_from_the_same_at_another_time() {
        let facts = Facts::parse(LINES).unwrap();
        let later = Facts { tsc_khz: 2_599_000, ..facts.clone() };
        assert!(facts.same_machine(&later));
        assert!(!facts.same_machine(&Facts { physical_bits: 46, ..facts.clone() }));
    }

    #[test]
    fn unknown_or_garbled_fact_is_refused() {
        for line in [
            "fact colour blue",
            "fact ram 0x1000",
            "fact ram 1000 2000",
            "fact tsc_khz fast",
            "fact ",
        ] {
            assert!(Facts::parse(LINES.into_iter().chain([line])).is_err(), "{line}");
        }
    }

    #[test]
    fn missing_fact_is_refused() {
        for name in ["ram", "text", "tsc_khz", "physical_bits", "flags", "apic"] {
            let others = LINES.into_iter().filter(|line| !line.contains(name));
            let error = Facts::parse(others).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
