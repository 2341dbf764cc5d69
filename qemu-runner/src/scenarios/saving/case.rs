//! A machine whose dump the /init of `load --capture` saves: bus, filesystem, kernel, size.

use std::time::Duration;

use capture_init::Record;

pub use crate::context::FULL;
use crate::error::{Error, expect_words};
use crate::evidence::outcome::{Outcome, SavedDump};
use crate::guest::setup::Content;
use crate::machine::DIMM_SIZE;
use crate::machine::disk::Bus;
use crate::stage::saved::Saved;
use crate::stage::{First, RESET_DELAY_S, Setup, SetupDisk, Victim, guest};

/// MiB of the disk for dumps. mkfs.xfs makes no filesystem below 300 MiB.
const DISK: u64 = 512;
/// From this much memory on, and without the bit of a hypervisor ...
const LARGE_MIB: u64 = 64 << 10;
/// ... a memory block has 2 GiB (`probe_memory_block_size`, arch/x86/mm/init_64.c). A DIMM has two:
/// what is in its last block moves when that is offline for a moment.
const LARGE_DIMM: u64 = 4 << 30;
/// The newest series. It comes from a repository that keeps no old versions, so it may be gone.
pub const NEW: &str = "7";

/// The module of the checksums of ext4 and xfs.
const CHECKSUM: &str = "crc32c_generic";

#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub bus: Bus,
    /// What is on the partition.
    pub content: Content,
    pub series: Option<&'static str>,
    /// What `estimate` says.
    pub crashkernel: &'static str,
    pub memory_mib: u64,
    pub cpus: u32,
    /// Whether makedumpfile saves the dump.
    pub by_makedumpfile: bool,
}

impl Case {
    /// A machine of 1 GiB with two CPUs and Linux 6.12.
    pub const fn of(bus: Bus, content: Content) -> Self {
        let (memory_mib, cpus) = (1024, crate::stage::BOOT_CPUS);
        let crashkernel = match content {
            // The module takes 12 MB while it is loaded.
            Content::Xfs => "88M",
            Content::Nothing | Content::Ext4 | Content::Ext4Quota => "80M",
        };
        let by_makedumpfile = false;
        Self { bus, content, series: None, crashkernel, memory_mib, cpus, by_makedumpfile }
    }

    /// The same with makedumpfile in the initrd.
    pub const fn by_makedumpfile(self) -> Self {
        Self { crashkernel: "88M", by_makedumpfile: true, ..self }
    }

    /// The same on Debian's newest kernel.
    pub const fn on_new_kernel(self) -> Self {
        let crashkernel = match self.content {
            Content::Xfs => "112M",
            Content::Nothing | Content::Ext4 | Content::Ext4Quota => "96M",
        };
        Self { series: Some(NEW), crashkernel, ..self }
    }

    /// The same on Debian's kernel for every machine, in which nearly every driver is a module.
    pub const fn on_full_kernel(self) -> Self {
        Self { series: Some(FULL), ..self }
    }

    /// The machine, with a DIMM and a CPU to be added, and a second disk from which the host reads.
    pub fn setup(&self) -> Setup {
        let disk = |content| SetupDisk { content, ..SetupDisk::of(self.bus, DISK) };
        let mut modules = self.bus.modules().to_vec();
        if self.series == Some(FULL) && self.content != Content::Nothing {
            // The filesystems ask for it by its algorithm, so none of them names it (softdep).
            modules.push(CHECKSUM);
        }
        modules.extend(self.content.modules().iter().copied());
        Setup {
            series: self.series,
            crashkernel: Some(self.crashkernel),
            memory_mib: self.memory_mib,
            cpus: self.cpus,
            dimms: 1,
            dimm_size: if self.memory_mib < LARGE_MIB { DIMM_SIZE } else { LARGE_DIMM },
            spare_cpus: 1,
            makedumpfile: false,
            first_makedumpfile: self.by_makedumpfile,
            disks: vec![disk(self.content), disk(Content::Nothing)],
            modules,
            ..Setup::default()
        }
    }

    /// Where the guest has the partition of the disk of this number.
    pub fn partition(&self, number: usize) -> String {
        match self.bus {
            Bus::VirtioBlk => format!("/dev/vd{}1", letter(number)),
            Bus::Nvme => format!("/dev/nvme{number}n1p1"),
            Bus::Ahci | Bus::VirtioScsi => format!("/dev/sd{}1", letter(number)),
        }
    }

    /// The target of `--capture`, with the options that follow it.
    pub fn target(&self, place: &str) -> String {
        let program = format!(" --makedumpfile {}", guest::MAKEDUMPFILE);
        format!("{place}{}", if self.by_makedumpfile { &program } else { "" })
    }

    /// Everything that must be true of the dump. Of freed pages, `listed` may be in it.
    pub fn judge(&self, saved: &Saved, victim: &Victim, listed: usize) -> Result<(), Error> {
        match self.by_makedumpfile {
            true => saved.expect_by_makedumpfile(victim)?,
            false => saved.expect_complete(victim)?,
        }
        saved.expect_without_freed(listed)
    }

    /// Leaves a complete dump in the evidence.
    pub fn note(&self, outcome: &mut Outcome, victim: &Victim, after: Duration, record: Record) {
        outcome.evidence.saved = Some(SavedDump {
            target: self.content.name().unwrap_or("partition").to_owned(),
            bus: self.bus.name().to_owned(),
            release: victim.release.clone(),
            crashkernel: self.crashkernel.to_owned(),
            memory_mib: self.memory_mib,
            cpus: self.cpus,
            saved_after: after,
            record,
        });
    }
}

fn letter(number: usize) -> char {
    ['a', 'b', 'c', 'd'][number]
}

/// The command line that arms with an initrd that the loader makes.
pub fn arming(target: &str) -> String {
    format!(
        "{} load --kernel {} --capture {target} --reset-delay {RESET_DELAY_S} --json",
        guest::LOADER,
        guest::KERNEL
    )
}

/// Arms with an initrd that the loader makes. Returns what the loader said.
pub fn arm(first: &mut First<'_, '_>, target: &str, said: &str) -> Result<String, Error> {
    let (_, words) = first.load(&arming(target))?;
    first.note(&words);
    expect_words("`load`", &words, &[said, "its initrd has"])?;
    Ok(words)
}
