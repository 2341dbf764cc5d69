//! The judge of a dump: /proc/vmcore in the capture kernel, held against what is known of the
//! crashed kernel.

use super::capture::{Crashed, PANIC};
use super::load::number;
use crate::error::{Error, check, check_eq};
use crate::evidence::elfcore::{ElfCore, HEADER_LEN, Notes};
use crate::evidence::iomem::merged;

impl Crashed<'_, '_> {
    /// Everything that must be true of every vmcore; returns its headers.
    pub fn check_vmcore(&mut self) -> Result<ElfCore, Error> {
        let size: u64 = number(&self.vm.run_ok("stat -c %s /proc/vmcore")?)?;
        let core = ElfCore::parse(&self.read_vmcore(0, HEADER_LEN)?)?;
        check_eq!(
            size,
            core.vmcore_len(),
            "size of /proc/vmcore: headers, notes and every PT_LOAD"
        )?;
        let notes = Notes::parse(&self.read_vmcore(0, core.first_load_offset() as usize)?)?;
        self.stage.outcome.fact("vmcore: size", format!("{size} bytes"));
        self.stage.outcome.fact("vmcore: PT_LOADs", core.loads.len());
        self.stage.outcome.evidence.dumped = Some(core.memory());

        check_eq!(notes.osrelease, self.victim.release, "OSRELEASE in VMCOREINFO")?;
        check_eq!(notes.prstatus, self.victim.online_cpus, "NT_PRSTATUS notes, one per CPU")?;
        let found = merged(&core.memory());
        let expected = self.victim.iomem.dumped();
        check!(
            found == expected,
            "memory in the vmcore: expected {expected:x?}, found {found:x?}"
        )?;
        let (texts, text) = (core.texts(), self.victim.iomem.kernel_text);
        check!(
            texts == [text],
            "PT_LOADs of the kernel's text: expected one at {text:#x}, found {texts:#x?}"
        )?;
        self.stage
            .outcome
            .now("vmcore holds the crashed kernel's memory, all of it and nothing else");

        for sentinel in self.victim.sentinels.clone() {
            let offset = core.file_offset(sentinel.address)?;
            let found = self.read_vmcore(offset, sentinel::PAGE_SIZE)?;
            let what = format!("page of the vmcore at physical address {:#x}", sentinel.address);
            let expected = format!("the pattern of seed {}", sentinel.seed);
            check!(
                found == sentinel::pattern(sentinel.seed),
                "{what}: expected {expected}, found something else"
            )?;
            self.stage
                .outcome
                .now(format!("sentinel {} found at {:#x}", sentinel.seed, sentinel.address));
        }

        let makedumpfile = self.stage.context.makedumpfile()?.program.clone();
        self.vm.run_ok(&format!("{makedumpfile} --dump-dmesg /proc/vmcore /tmp/dmesg"))?;
        self.vm.run_ok(&format!("grep -qF '{PANIC}' /tmp/dmesg"))?;
        self.stage.outcome.now("makedumpfile finds the panic in the vmcore's dmesg");
        if self.stage.context.keeps_dump() {
            self.keep_vmcore(&core)?;
        }
        Ok(core)
    }

    /// `len` bytes of /proc/vmcore from a page boundary.
    pub(crate) fn read_vmcore(&mut self, offset: u64, len: usize) -> Result<Vec<u8>, Error> {
        const PAGE: usize = sentinel::PAGE_SIZE;
        let (skip, count) = (offset / PAGE as u64, len.div_ceil(PAGE));
        let command = format!("dd if=/proc/vmcore bs={PAGE} skip={skip} count={count} 2>/dev/null");
        self.vm.run_for_bytes(&command)
    }
}
