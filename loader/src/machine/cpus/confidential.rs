//! `[1d]` Whether this machine is a confidential guest. There the purgatory must avoid CPUID, port
//! I/O and other instructions that fault.
//!
//! *On entry*
//! * the CPUs' flags, the machine's files, and what CPUID reports.
//!
//! *On exit*
//! * the first evidence, if there is any.
//!
//! /proc/cpuinfo does not suffice. Linux clears `sev_es` and `sev_snp` if MSR_AMD64_SYSCFG says
//! that memory encryption is off, and KVM tells its guests exactly that
//! (`early_detect_mem_encrypt`, arch/x86/kernel/cpu/amd.c; `kvm_get_msr_common`,
//! arch/x86/kvm/x86.c).

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use crate::machine::Error;
use crate::machine::source::{
    CPUID, Found, SEV_GUEST, SEV_VMPL, Source, TDX_GUEST, Tree, parse_hexadecimal, quoted,
};

/// A confidential guest, and the evidence for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfidentialGuest {
    /// `sev_es`, `sev_snp` or `tdx_guest`, as in /proc/cpuinfo; or `confidential` if only the
    /// request says so.
    pub kind: &'static str,
    /// The file, CPUID leaf or request that shows it.
    pub evidence: &'static str,
}

impl fmt::Display for ConfidentialGuest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} guest, by {}", self.kind, self.evidence)
    }
}

const SEV_ES: &str = "sev_es";
const SEV_SNP: &str = "sev_snp";
const TDX: &str = "tdx_guest";

/// The CPUID leaf of AMD's memory encryption, and its bits for SEV-ES and SEV-SNP (AMD APM vol. 3,
/// "Function 8000_001Fh"). On a host the bits say what its guests can use.
const AMD_ENCRYPTION: u32 = 0x8000_001f;
const EAX_SEV_ES: u32 = 1 << 3;
const EAX_SEV_SNP: u32 = 1 << 4;
/// The CPUID leaf of TDX guests, and its content in EBX, EDX and ECX (`TDX_CPUID_LEAF_ID`,
/// `TDX_IDENT`, arch/x86/include/asm/shared/tdx.h).
const TDX_LEAF: u32 = 0x21;
const TDX_IDENT: &[u8; 12] = b"IntelTDX    ";

/// Files that only a guest of a kind has: its kernel's (`sev_sysfs_init`,
/// arch/x86/coco/sev/core.c), or a driver's device (drivers/virt/coco/).
const FILES: [(&Source, &str, &str); 3] = [
    (&SEV_VMPL, SEV_SNP, "/sys/devices/system/cpu/sev"),
    (&SEV_GUEST, SEV_SNP, "/dev/sev-guest"),
    (&TDX_GUEST, TDX, "/dev/tdx_guest"),
];

/// The first evidence of a confidential guest. `has_flag` says whether every CPU has a flag in
/// /proc/cpuinfo.
pub(in crate::machine) fn find(
    has_flag: impl Fn(&str) -> bool,
    tree: Tree<'_>,
    cpuid: &Cpuid,
) -> Result<Option<ConfidentialGuest>, Error> {
    if let Some(guest) = by_flags(&has_flag) {
        return Ok(Some(guest));
    }
    for (source, kind, evidence) in FILES {
        if tree.optional(source)?.is_some() {
            return Ok(Some(ConfidentialGuest { kind, evidence }));
        }
    }
    Ok(if has_flag(HYPERVISOR) { cpuid.guest() } else { None })
}

/// The flag that every guest has, and no host.
const HYPERVISOR: &str = "hypervisor";

/// The evidence in /proc/cpuinfo. An AMD host can have `sev_es` and `sev_snp` as well.
pub(in crate::machine) fn by_flags(has_flag: impl Fn(&str) -> bool) -> Option<ConfidentialGuest> {
    let kinds = [TDX, SEV_SNP, SEV_ES].into_iter();
    let kind =
        kinds.into_iter().find(|&kind| has_flag(kind) && (kind == TDX || has_flag(HYPERVISOR)))?;
    Some(ConfidentialGuest { kind, evidence: "/proc/cpuinfo" })
}

/// What CPUID reports in the leaves that show a confidential guest: EAX, EBX, ECX and EDX of each
/// leaf that the CPU has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cpuid(BTreeMap<u32, [u32; 4]>);

impl Cpuid {
    /// The leaves that matter.
    pub(crate) const LEAVES: [u32; 2] = [TDX_LEAF, AMD_ENCRYPTION];

    /// Asks for every leaf. `ask` returns `None` for a leaf that the CPU does not have.
    pub(crate) fn ask(ask: impl Fn(u32) -> Option<[u32; 4]>) -> Self {
        Self(Self::LEAVES.into_iter().filter_map(|leaf| Some((leaf, ask(leaf)?))).collect())
    }

    /// Reads the leaves of a snapshot. A snapshot of an older version has none.
    pub(in crate::machine) fn read(tree: Tree<'_>) -> Result<Self, Error> {
        tree.optional(&CPUID)?.map_or_else(|| Ok(Self::default()), |file| Self::parse(&file))
    }

    fn parse(file: &Found) -> Result<Self, Error> {
        let word = |word: &str| u32::try_from(parse_hexadecimal(word)?).ok();
        let line = |line: &str| {
            let words: Vec<u32> = line.split(' ').map(word).collect::<Option<_>>()?;
            let [leaf, registers @ ..] = words.as_slice() else { return None };
            Some((*leaf, registers.try_into().ok()?))
        };
        let lines = file.text()?.lines();
        lines
            .map(|text| line(text).ok_or_else(|| file.garbled(quoted(text))))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The text for a snapshot: one line per leaf, with its number and the four registers.
    pub(in crate::machine) fn text(&self) -> String {
        let mut text = String::new();
        for (leaf, [eax, ebx, ecx, edx]) in &self.0 {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{leaf:#010x} {eax:#010x} {ebx:#010x} {ecx:#010x} {edx:#010x}");
        }
        text
    }

    /// The guest that it shows, if any.
    fn guest(&self) -> Option<ConfidentialGuest> {
        let amd = |kind| Some(ConfidentialGuest { kind, evidence: "CPUID leaf 0x8000001f" });
        match self.0.get(&AMD_ENCRYPTION).map_or(0, |[eax, ..]| *eax) {
            eax if eax & EAX_SEV_SNP != 0 => return amd(SEV_SNP),
            eax if eax & EAX_SEV_ES != 0 => return amd(SEV_ES),
            _ => {}
        }
        let [_, ebx, ecx, edx] = self.0.get(&TDX_LEAF)?;
        let ident = [ebx, edx, ecx].map(|register| register.to_le_bytes());
        (ident.as_flattened() == TDX_IDENT)
            .then_some(ConfidentialGuest { kind: TDX, evidence: "CPUID leaf 0x21" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::example;

    const SEV_ES_GUEST: [u32; 4] = [0xa, 0x33, 0, 0];
    const SEV_SNP_GUEST: [u32; 4] = [0x1a, 0x33, 0, 0];
    const SEV_GUEST: [u32; 4] = [0x2, 0x33, 0, 0];

    fn leaf(number: u32, registers: [u32; 4]) -> Cpuid {
        Cpuid::ask(|leaf| (leaf == number).then_some(registers))
    }

    /// EAX, EBX, ECX, EDX with these twelve bytes in EBX, EDX, ECX.
    fn ident(text: &[u8; 12]) -> [u32; 4] {
        let word = |at: usize| u32::from_le_bytes(text[at..at + 4].try_into().unwrap());
        [0, word(0), word(8), word(4)]
    }

    fn found(flags: &[&str], files: &[&str], cpuid: &Cpuid) -> Option<ConfidentialGuest> {
        let root = tempfile::tempdir().unwrap();
        example::plant(
            root.path(),
            &files.iter().map(|&path| (path.to_owned(), b"0\n".to_vec())).collect(),
        );
        find(|flag| flags.contains(&flag), Tree::new(root.path()), cpuid).unwrap()
    }

    #[test]
    fn guest_that_linux_does_not_show_is_found_by_cpuid() {
        for (cpuid, kind) in [
            (leaf(AMD_ENCRYPTION, SEV_ES_GUEST), Some(SEV_ES)),
            (leaf(AMD_ENCRYPTION, SEV_SNP_GUEST), Some(SEV_SNP)),
            // Plain SEV encrypts memory, but no instruction faults.
            (leaf(AMD_ENCRYPTION, SEV_GUEST), None),
            (leaf(TDX_LEAF, ident(TDX_IDENT)), Some(TDX)),
            (leaf(TDX_LEAF, ident(b"GenuineIntel")), None),
            (Cpuid::default(), None),
        ] {
            assert_eq!(
                found(&["hypervisor"], &[], &cpuid).map(|guest| guest.kind),
                kind,
                "{cpuid:x?}"
            );
            assert_eq!(found(&[], &[], &cpuid), None, "a host's CPU says what it can offer");
        }
    }

    #[test]
    fn files_of_a_guests_kernel_and_drivers_are_evidence() {
        for (source, kind, _) in FILES {
            let guest = found(&["hypervisor"], &[source.paths[0]], &Cpuid::default());
            assert_eq!(guest.map(|guest| guest.kind), Some(kind), "{source:?}");
        }
        assert_eq!(
            found(&["hypervisor"], &["dev/sev"], &Cpuid::default()),
            None,
            "a host's device"
        );
    }

    #[test]
    fn leaves_survive_a_snapshot_and_damaged_ones_are_refused() {
        let file = |text: &str| Found {
            path: "cpuid".into(),
            bytes: text.into(),
            expected: CPUID.expected,
        };
        let cpuid = Cpuid::ask(|leaf| Some([leaf, 1, u32::MAX, 0]));
        assert_eq!(Cpuid::parse(&file(&cpuid.text())).unwrap(), cpuid);
        assert_eq!(Cpuid::parse(&file("")).unwrap(), Cpuid::default());
        for wrong in [
            "0x21 0 0 0",
            "0x21 0 0 0 0 0",
            "0x21 0 0 0 0x100000000",
            "0x21 0 0 0 x",
            "0x21  0 0 0",
        ] {
            assert!(Cpuid::parse(&file(wrong)).is_err(), "{wrong}");
        }
    }
}
