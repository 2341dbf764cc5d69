//! The first kernel: armed, asked, hot-plugged, damaged.

use std::ops::Range;
use std::path::PathBuf;
use std::time::Instant;

use serde_json::Value;

use crate::error::{Error, check, check_eq};
use crate::evidence::armed::ArmedImage;
use crate::evidence::elfcore::ElfCore;
use crate::evidence::iomem::{Iomem, merged};
use crate::evidence::outcome::{Evidence, Phase};
use crate::machine::DIMM_SIZE;
use crate::machine::agent::Output;
use crate::machine::vm::Vm;
use crate::stage::load::{CAPTURE_APPEND, Loaded, json, load_command, number};
use crate::stage::pages::Sentinel;
use crate::stage::{BOOT_CPUS, Stage, disks, guest};

/// Bytes of a memory block (`memory_block_size_bytes`, below 64 GiB of memory,
/// arch/x86/mm/init_64.c).
pub const MEMORY_BLOCK: u64 = 128 << 20;

/// What is known of the crashed kernel: the measure of a complete vmcore.
#[derive(Clone, Debug)]
pub struct Victim {
    pub release: String,
    /// Its memory map just before the panic.
    pub iomem: Iomem,
    pub online_cpus: usize,
    pub sentinels: Vec<Sentinel>,
}

/// An armed image: as it is in memory, as `load --json` printed it, and what the loader said to
/// people.
#[derive(Clone, Debug)]
pub struct Armed {
    pub image: ArmedImage,
    pub loaded: Loaded,
    pub words: String,
}

pub struct First<'s, 'c> {
    pub stage: &'s mut Stage<'c>,
    pub vm: Vm,
    pub(super) release: String,
    pub(super) sentinels: Vec<Sentinel>,
    pub(crate) cpus: u32,
    pub(super) dimm_size: u64,
}

impl<'s, 'c> First<'s, 'c> {
    pub(crate) fn new(stage: &'s mut Stage<'c>, vm: Vm, release: String) -> Self {
        let (cpus, dimm_size) = (BOOT_CPUS, DIMM_SIZE);
        Self { stage, vm, release, sentinels: Vec::new(), cpus, dimm_size }
    }

    pub fn note(&mut self, what: impl Into<String>) {
        self.stage.outcome.now(what);
    }

    /// The image of the machine's disk of this number.
    pub fn disk(&self, number: usize) -> PathBuf {
        self.vm.directory().join(disks::name(number))
    }

    /// Loads the modules that the machine's disks or memory need. Without any, the drivers are
    /// built in.
    pub fn load_drivers(&mut self) -> Result<(), Error> {
        let command = format!(
            "for module in {}/*.ko; do [ ! -e $module ] || insmod $module || exit; done",
            guest::DRIVERS
        );
        self.vm.run_ok(&command).map(drop)
    }

    /// Runs the loader with these arguments, whatever comes of it.
    pub fn loader(&mut self, arguments: &str) -> Result<Output, Error> {
        self.vm.run(&format!("{} {arguments}", guest::LOADER))
    }

    /// Arms the capture kernel with `options` besides the usual ones.
    pub fn arm(&mut self, options: &str) -> Result<Armed, Error> {
        self.arm_with(CAPTURE_APPEND, options)
    }

    /// Arms the capture kernel with its command line and more options.
    pub fn arm_with(&mut self, append: &str, options: &str) -> Result<Armed, Error> {
        let (loaded, words) = self.load(&load_command(append, options))?;
        let image = self.image()?;
        check_eq!(loaded.image.identity, image.identity, "identity that `load` printed")?;
        let block = loaded.image.by_block.as_ref().map(|by_block| by_block.block.start);
        check_eq!(block, Some(image.block.start), "address of the block that `load` printed")?;
        Ok(Armed { image, loaded, words })
    }

    /// Arms the capture kernel by this command line of the loader; what it printed, and what it
    /// said to people.
    pub fn load(&mut self, command: &str) -> Result<(Loaded, String), Error> {
        let began = Instant::now();
        let said = self.vm.run_ok(&format!(
            "time -v -o /tmp/load.time {command} 2>/tmp/load.err || {{ cat /tmp/load.err; false; }}"
        ))?;
        let took = began.elapsed();
        self.expect_armed(true, "after `load`")?;
        let region = self.crash_region()?;
        let loaded: Loaded = json(&said)?;
        let image = &loaded.image;
        check_eq!(image.crash_region.start, region.start, "crash region that `load` printed")?;
        let resident = self.resident_kib("/tmp/load.time")?;
        let at_load = self.iomem()?;
        let outcome = &mut self.stage.outcome;
        outcome.now(format!("armed by kdump-loader: image {}", image.identity));
        outcome.evidence.image = Some(image.clone());
        outcome.evidence.at_load = Some(at_load);
        outcome.fact("load: wall time", format!("{:.2} s", took.as_secs_f64()));
        outcome.fact("load: peak resident set", format!("{resident} KiB"));
        outcome.fact("image identity", &image.identity);
        let words = self.vm.run_ok("cat /tmp/load.err")?;
        Ok((loaded, words))
    }

    /// Runs a command and says how large its resident set got, in KiB.
    pub fn peak_resident_kib(&mut self, command: &str) -> Result<u64, Error> {
        self.vm.run_ok(&format!("time -v -o /tmp/peak.time {command}"))?;
        self.resident_kib("/tmp/peak.time")
    }

    /// The same from what `time -v` has written.
    fn resident_kib(&mut self, file: &str) -> Result<u64, Error> {
        let line = self.vm.run_ok(&format!("grep 'Maximum resident' {file}"))?;
        number(line.rsplit(' ').next().unwrap_or_default())
    }

    /// Whether a capture kernel is armed, which is noted, no matter which program armed it.
    pub fn crash_loaded(&mut self) -> Result<bool, Error> {
        let armed = self.vm.run_ok("cat /sys/kernel/kexec_crash_loaded")? == "1";
        self.stage.outcome.enter(if armed { Phase::Armed } else { Phase::Boot }, Instant::now());
        if !armed {
            self.stage.outcome.evidence = Evidence::default();
        } else if self.stage.outcome.evidence.at_load.is_none() {
            self.stage.outcome.evidence.at_load = Some(self.iomem()?);
        }
        Ok(armed)
    }

    /// [`Self::crash_loaded`] must say so.
    pub fn expect_armed(&mut self, armed: bool, when: &str) -> Result<(), Error> {
        check_eq!(self.crash_loaded()?, armed, "kexec_crash_loaded {when}")
    }

    /// What `status --json` says. It must exit with this status: 0 if a panic would leave a dump,
    /// else 1.
    pub fn status(&mut self, expected: i32) -> Result<Value, Error> {
        let command = format!("{} status --json 2>/dev/null", guest::LOADER);
        json(&self.vm.run_to(expected, &command)?)
    }

    /// The kernel must say that it keeps the elfcorehdr current itself.
    pub fn expect_crash_hotplug(&mut self) -> Result<(), Error> {
        for subsystem in ["cpu", "memory"] {
            let file = format!("/sys/devices/system/{subsystem}/crash_hotplug");
            check_eq!(self.vm.run_ok(&format!("cat {file}"))?, "1", "{file}")?;
        }
        Ok(())
    }

    /// The crash region that an image goes into: the highest.
    pub fn crash_region(&mut self) -> Result<Range<u64>, Error> {
        let regions = self.iomem()?.crash_kernel;
        regions
            .into_iter()
            .max_by_key(|region| region.start)
            .ok_or_else(|| Error::Failed("/proc/iomem has no crash region".into()))
    }

    pub fn iomem(&mut self) -> Result<Iomem, Error> {
        Iomem::parse(&self.vm.run_ok("cat /proc/iomem")?)
    }

    pub fn image(&mut self) -> Result<ArmedImage, Error> {
        let region = self.crash_region()?;
        ArmedImage::find(&self.vm.ram, &region)
    }

    pub fn elfcorehdr(&self, image: &ArmedImage) -> Result<ElfCore, Error> {
        ElfCore::in_memory(&self.vm.ram, &image.elfcorehdr)
    }

    /// The elfcorehdr that a panic would use must list exactly the memory that is there.
    pub fn expect_all_memory_listed(&mut self, when: &str) -> Result<(), Error> {
        let image = self.image()?;
        let listed = merged(&self.elfcorehdr(&image)?.memory());
        let dumped = self.iomem()?.dumped();
        check!(
            listed == dumped,
            "memory in the elfcorehdr {when}: expected {dumped:x?}, found {listed:x?}"
        )
    }

    /// Whether the elfcorehdr that a panic would use has anything of this range.
    pub fn lists(&mut self, range: &Range<u64>) -> Result<bool, Error> {
        let image = self.image()?;
        let listed = self.elfcorehdr(&image)?.memory();
        Ok(listed.iter().any(|listed| listed.start < range.end && range.start < listed.end))
    }

    /// Plugs in a DIMM and a CPU after a sentinel was written into old memory, and writes one into
    /// the DIMM, whose range is returned. The kernel rewrites the elfcorehdr on each.
    pub fn grow(&mut self) -> Result<Range<u64>, Error> {
        self.place_sentinel(2)?;
        let dimm = self.add_dimm(0)?;
        self.add_cpu()?;
        self.place_sentinel_in(1, &dimm)?;
        Ok(dimm)
    }

    /// Plugs in a DIMM and returns the memory that Linux has gained.
    pub fn add_dimm(&mut self, number: u32) -> Result<Range<u64>, Error> {
        let before = self.iomem()?;
        self.vm.monitor.add_dimm(number)?;
        let added = self.iomem()?.added_since(&before);
        check!(added.len() == 1, "memory gained by DIMM {number}: one range, not {added:x?}")?;
        let range = added[0].clone();
        check_eq!(range.end - range.start, self.dimm_size, "bytes gained by a DIMM")?;
        self.note(format!("DIMM {number} added: {:#x}-{:#x}", range.start, range.end - 1));
        Ok(range)
    }

    /// Plugs in a CPU and brings it online: one that still waits for its first start-up interrupt
    /// takes the crash's non-maskable one as a triple fault under TCG.
    pub fn add_cpu(&mut self) -> Result<(), Error> {
        self.vm.monitor.add_cpu()?;
        let cpu = self.cpus;
        let online = format!("/sys/devices/system/cpu/cpu{cpu}/online");
        self.vm.run_ok(&format!("[ $(cat {online}) = 1 ] || echo 1 >{online}"))?;
        self.cpus += 1;
        self.note(format!("CPU {cpu} added and online"));
        Ok(())
    }

    /// Writes `values` one after the other into a sysfs file, each of which must be taken.
    pub fn toggle(&mut self, what: &str, file: &str, values: [&str; 2]) -> Result<(), Error> {
        for value in values {
            self.vm.run_ok(&format!("echo {value} >{file}"))?;
            self.note(format!("{what}: {value}"));
        }
        Ok(())
    }

    /// Flips bit `bit` of a byte of the guest's memory from outside.
    pub fn flip_bit(&mut self, what: &str, address: u64, bit: u8) -> Result<(), Error> {
        self.vm.ram.flip_bit(address, bit)?;
        self.note(format!("bit {bit} flipped in {what}, at {address:#x}"));
        Ok(())
    }

    /// Switches the machine off, when the scenario is about nothing that comes later.
    pub fn switch_off(self) {
        let Self { stage, vm, .. } = self;
        drop(vm);
        stage.outcome.now("the machine is switched off");
    }
}
