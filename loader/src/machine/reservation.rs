//! `[1f]` The facts that matter for kexec_file_load(2), where the kernel makes the image: where the
//! image will go, and whether it fits.
//!
//! It needs no /proc/kcore, which is hidden under lockdown=confidentiality, and no other file that
//! only this loader's own images depend on.

pub mod no_reservation; // why no memory is reserved

use std::path::Path;

use super::no_reservation::Evidence;
use super::source::{self, Tree};
use super::{
    CpuFacts, Error, KexecPermission, cpus, crash_cma, crash_region, dm_crypt_keys, evidence,
    iomem, kexec, meminfo, read_command_line,
};
use crate::phys::PhysRange;

/// A placeholder for the frequency of the time-stamp counter, which only our purgatory needs.
const NO_TSC_KHZ: u32 = 1;

/// The facts about a machine whose kernel makes the image itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// Bytes of memory that the kernel manages.
    pub total_ram: u64,
    /// Every "System RAM" range.
    pub system_ram: Vec<PhysRange>,
    /// The ranges named "Crash kernel", ascending.
    pub crash_regions: Vec<PhysRange>,
    /// Crash memory in CMA; see [`super::Machine::crash_cma`].
    pub crash_cma: Option<Vec<PhysRange>>,
    /// /sys/kernel/crash_elfcorehdr_size, absent before Linux 6.6.
    pub elfcorehdr_size: Option<u64>,
    /// The running kernel's command line.
    pub command_line: Vec<u8>,
    /// How many CPUs the machine can ever have.
    pub possible_cpus: u32,
    /// What the CPUs can do.
    pub cpu: CpuFacts,
    /// Whether the kernel permits loading.
    pub kexec: KexecPermission,
    /// How many dm-crypt keys the kernel is configured to pass to the capture kernel.
    pub dm_crypt_keys: u32,
    /// Evidence for why no memory is reserved; empty if some is.
    pub no_reservation: Evidence,
}

impl Reservation {
    /// Reads it below `root`: `/`, or a snapshot.
    pub fn read(root: &Path) -> Result<Self, Error> {
        let tree = Tree::new(root);
        let iomem = iomem::parse(&tree.required(&source::IOMEM)?)?;
        Ok(Self {
            kexec: kexec::read_permission(tree)?,
            dm_crypt_keys: dm_crypt_keys(tree)?,
            no_reservation: evidence(tree, &iomem.crash_regions)?,
            total_ram: meminfo::parse(&tree.required(&source::MEMINFO)?)?,
            system_ram: iomem.system_ram,
            crash_regions: iomem.crash_regions,
            crash_cma: crash_cma(tree)?,
            elfcorehdr_size: tree
                .optional(&source::ELFCOREHDR_SIZE)?
                .map(|file| file.decimal())
                .transpose()?,
            command_line: read_command_line(tree)?,
            possible_cpus: cpus::parse_possible(&tree.required(&source::CPU_POSSIBLE)?)?,
            cpu: cpus::parse_cpuinfo(&tree.required(&source::CPUINFO)?, NO_TSC_KHZ)?,
        })
    }

    /// The region for the image; see [`super::Machine::crash_region`].
    pub fn crash_region(&self) -> Result<PhysRange, Error> {
        crash_region(&self.crash_regions, &self.command_line, &self.system_ram, self.no_reservation)
    }
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;

    #[test]
    fn locked_down_kernel_that_hides_kcore_can_be_read() {
        let mut files = example::files();
        for name in ["proc/kcore", "sys/kernel/vmcoreinfo", "sys/kernel/boot_params/data"] {
            files.remove(name).unwrap();
        }
        let root = tempfile::tempdir().unwrap();
        example::plant(root.path(), &files);
        let reservation = Reservation::read(root.path()).unwrap();
        let machine = example::machine();
        assert_eq!(reservation.crash_region().unwrap(), machine.crash_region().unwrap());
        assert_eq!(
            (reservation.total_ram, reservation.command_line),
            (machine.total_ram, machine.command_line)
        );
    }
}
