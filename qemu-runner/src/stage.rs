//! The stage of one scenario: builds both user spaces, starts a machine and waits for the first
//! kernel, or continues from where another like it had come up.

pub(crate) mod need; // what a scenario cannot do without
mod user_spaces; // what is in both kernels' initrds
mod disks; // its disks
mod load; // how it is armed, as a command line
pub mod first; // the kernel that will crash
mod pages; // pages with known content, for the dump to have or to leave out
mod crash; // how it crashes
pub mod capture; // after the panic
mod again; // after a reset
pub(crate) mod last; // what the boot after it tells
mod vmcore; // what the dump holds
mod keep; // the dump, as a file on the host
pub mod saved; // what the /init of `load --capture` has saved
pub mod installed; // a Debian with its services, on a disk

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::context::Context;
use crate::error::{Error, check, check_eq};
use crate::evidence::outcome::{Evidence, Outcome, Phase};
use crate::guest::initramfs::Role;
use crate::host;
use crate::machine::checkpoint::{Checkpoint, Way};
use crate::machine::deadline::Deadline;
use crate::machine::vm::{RAM, Vm};
use crate::machine::{Boot, Machine};
use need::{Asked, Need, OF_EVERY_KERNEL};

pub use crate::guest::setup::{GuestFile, Packaging, Setup, SetupDisk, guest};
pub use crate::machine::BOOT_CPUS;
pub use capture::{Capture, Crashed, JUMP_TO_ITSELF, OOPS, PANIC};
pub use first::{Armed, First, MEMORY_BLOCK, Victim};
pub use load::{CAPTURE_APPEND, Loaded, RESET_DELAY_S, json, number};
pub use load::{kexec_command, load_command, load_file_command, load_foreign_command};

/// A file of the capture kernel's user space that no program reads, so that it can be damaged and
/// the kernel still boots.
pub const BALLAST: &str = "/ballast";
/// How a scenario finds the ballast in the archive.
pub const BALLAST_MARK: &[u8] = b"ballast: a bit of this may be flipped";

/// What a unified kernel image asks to reserve, which a capture kernel must not.
pub(crate) const UNIFIED_RESERVATION: &str = "crashkernel=64M";

/// What costs an emulated CPU a fifth of the boot, and no scenario is about: tests of the kernel's
/// ciphers, and detours around faults that emulated CPUs do not have.
pub(crate) const UNTESTED: &str = "cryptomgr.notests mitigations=off";

/// How a kernel panics that met a breakpoint which it had already removed. Linux patches code by
/// way of INT3 (`smp_text_poke_batch_finish`, arch/x86/kernel/alternative.c). Under QEMU with a
/// thread for each CPU, one CPU may translate the INT3 while another replaces it, and keep the
/// translation. Seen once, on two cores with a load of 17. A loader cannot cause it, because
/// nothing is loaded before user space.
const STALE_BREAKPOINT: &str = "Oops: int3";
/// The last line of a panic (`panic`, kernel/panic.c).
pub(crate) const END_OF_PANIC: &str = "---[ end Kernel panic";

pub struct Stage<'c> {
    pub context: &'c Context,
    pub outcome: Outcome,
    /// When it has to be over.
    pub deadline: Deadline,
    pub(crate) directory: PathBuf,
    machines: u32,
    /// What the scenario asks of the kernel.
    pub(crate) needs: &'static [Need],
}

impl<'c> Stage<'c> {
    /// Plays a story that must be over by the deadline and asks `needs` of its kernel.
    pub(crate) fn play<T>(
        context: &'c Context,
        name: &str,
        deadline: Deadline,
        needs: &'static [Need],
        story: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<(T, Outcome), Error> {
        let directory = context.fresh_directory(name)?;
        let mut stage =
            Self { context, outcome: Outcome::new(name), deadline, directory, machines: 0, needs };
        let result = story(&mut stage).map_err(|error| stage.outcome.failure(error));
        // Cleaning up follows every end. An error of the story counts for more than one of the
        // cleaning.
        let closed = stage.close();
        Ok((result?, closed?))
    }

    /// Boots the first kernel of a machine.
    pub fn boot(&mut self, setup: &Setup) -> Result<First<'_, 'c>, Error> {
        let directory = self.next_machine()?;
        let (machine, release) = self.build(setup, &directory)?;
        let mut first = self.come_up(setup, &machine, &directory, &release)?;
        (first.cpus, first.dimm_size) = (setup.cpus, setup.dimm_size);
        expect_fit(&mut first)?;
        Ok(first)
    }

    /// The machine that a scenario asks for, with its files in `directory`, and the release of its
    /// first kernel.
    fn build(&self, setup: &Setup, directory: &Path) -> Result<(Machine, String), Error> {
        let context = self.context;
        let kernel = context.kernel(setup.series.unwrap_or(context.series()))?;
        let initrd = directory.join("first.cpio");
        host::write(&initrd, &self.first_user_space(setup)?)?;
        let firmware = if setup.efi {
            let ovmf = context.ovmf()?;
            let variables = directory.join("vars.fd");
            fs::copy(&ovmf.vars, &variables).map_err(Error::file("copy", &ovmf.vars))?;
            Some((ovmf.code.clone(), variables))
        } else {
            None
        };
        let disks = disks::make(context, &setup.disks, directory)?;
        let reservation = setup.crashkernel.map(|size| format!("crashkernel={size} "));
        let reservation = reservation.unwrap_or_default();
        let boot = Boot::Linux {
            kernel: kernel.vmlinuz.clone(),
            initrd,
            // A panic without capture kernel shall not reset the machine, so that every reset is
            // the purgatory's.
            append: format!(
                "console=ttyS0 {reservation}panic=0 {UNTESTED} memhp_default_state={} {}",
                setup.online, setup.append
            ),
            disk: None,
        };
        let machine = Machine {
            cpu: setup.cpu,
            cpus: setup.cpus,
            max_cpus: setup.cpus + setup.spare_cpus,
            dimms: setup.dimms,
            dimm_size: setup.dimm_size,
            virtio_mem: setup.virtio_mem,
            signals: setup.signals,
            watchdog: setup.watchdog,
            disks,
            firmware,
            ..Machine::of(boot, setup.memory_mib)
        };
        Ok((machine, kernel.release.clone()))
    }

    /// Brings a machine to where its first user space is up: by booting, or by going on from where
    /// another like it had booted.
    fn come_up(
        &mut self,
        setup: &Setup,
        machine: &Machine,
        directory: &Path,
        release: &str,
    ) -> Result<First<'_, 'c>, Error> {
        // A checkpoint knows nothing of files: the variables of firmware, and disks.
        let context = self.context;
        let keeps = machine.firmware.is_none() && machine.disks.is_empty();
        let Some(checkpoints) = context.checkpoints().filter(|_| keeps) else {
            return self.switch_on(machine, directory, release);
        };
        // All in which two machines of one context can differ.
        let kind = format!("{setup:?}");
        match checkpoints.way(&kind) {
            Way::Boots => self.switch_on(machine, directory, release),
            Way::BootsToBeKept(place) => {
                let mut first = self.switch_on(machine, directory, release)?;
                checkpoints.keep(&kind, Checkpoint::take(&mut first.vm, place)?);
                first.note("saved as a checkpoint for machines that boot the same");
                Ok(first)
            }
            Way::GoesOn(checkpoint) => {
                let mut vm = self.start(machine, directory, Some(&checkpoint))?;
                vm.monitor.go_on()?;
                check_eq!(vm.run_ok("uname -r")?, release, "release of the first kernel")?;
                Ok(First::new(self, vm, release.to_owned()))
            }
        }
    }

    pub(crate) fn next_machine(&mut self) -> Result<PathBuf, Error> {
        self.machines += 1;
        let directory = self.directory.join(format!("machine-{}", self.machines));
        host::make(&directory)?;
        Ok(directory)
    }

    /// Switches a machine on and waits for its first user space, whose kernel must have this
    /// release. If the emulator is to blame for a panic before that, it is switched on once more.
    pub(crate) fn switch_on(
        &mut self,
        machine: &Machine,
        directory: &Path,
        release: &str,
    ) -> Result<First<'_, 'c>, Error> {
        let mut repeated = false;
        let (vm, found) = loop {
            let mut vm = self.start(machine, directory, None)?;
            let mut stale_breakpoint = false;
            let found = vm.await_greeting(Role::First, |line| {
                stale_breakpoint |= line.text.contains(STALE_BREAKPOINT);
                check!(!line.text.contains(END_OF_PANIC), "it panicked: {}", line.text)
            });
            match found {
                Ok(found) => break (vm, found),
                Err(_) if stale_breakpoint && !repeated => {
                    repeated = true;
                    drop(vm);
                    // Its memory is a file, which would keep what this kernel left in it.
                    let ram = directory.join(RAM);
                    fs::remove_file(&ram).map_err(Error::file("remove", &ram))?;
                    self.outcome
                        .now("the emulator ran a stale breakpoint; once more from power-on");
                }
                Err(error) => return Err(Error::NotUp(Box::new(error))),
            }
        };
        self.outcome.now(format!("Linux {found} is up"));
        check_eq!(found, release, "release of the first kernel")?;
        Ok(First::new(self, vm, found))
    }

    fn start(
        &mut self,
        machine: &Machine,
        directory: &Path,
        from: Option<&Checkpoint>,
    ) -> Result<Vm, Error> {
        let qemu = &self.context.assets()?.qemu;
        let vm = Vm::start(qemu, machine, directory, self.deadline, from)?;
        eprintln!("{}", vm.command_line);
        self.outcome.evidence = Evidence::default();
        self.outcome.enter(Phase::Boot, Instant::now());
        let how = if from.is_some() { "starts from a checkpoint" } else { "is switched on" };
        self.outcome.now(format!("the machine {how}"));
        Ok(vm)
    }

    /// Leaves the outcome for later reading, and removes what is big: memory, archives, disks and
    /// dumps, unless they are to be kept.
    fn close(self) -> Result<Outcome, Error> {
        host::write(&self.directory.join("outcome.txt"), self.outcome.to_string().as_bytes())?;
        let json = serde_json::to_string_pretty(&self.outcome)
            .expect("strings, integers and enumerations always serialize");
        host::write(&self.directory.join("outcome.json"), json.as_bytes())?;
        for machine in 1..=self.machines {
            let directory = self.directory.join(format!("machine-{machine}"));
            let files = [RAM, "first.cpio", "vars.fd", installed::DISK, installed::SAVED];
            let disks = (0..disks::MOST).map(disks::name);
            for name in files.into_iter().map(str::to_owned).chain(disks) {
                let path = directory.join(name);
                if path.exists() && !self.context.keep() {
                    let remove = if path.is_dir() { fs::remove_dir_all } else { fs::remove_file };
                    remove(&path).map_err(Error::file("remove", &path))?;
                }
            }
        }
        Ok(self.outcome)
    }
}

/// A kernel that a developer brings must have what the scenario needs. This asks the running
/// kernel, because its configuration may be unknown.
fn expect_fit(first: &mut First<'_, '_>) -> Result<(), Error> {
    if first.stage.context.under_test().is_none() {
        return Ok(());
    }
    let asked = first.stage.needs.iter().map(|need| need.asked());
    for Asked { lacks, command, .. } in [OF_EVERY_KERNEL].into_iter().chain(asked) {
        if first.vm.run(command)?.status != 0 {
            return Err(Error::Unfit(lacks.to_owned()));
        }
    }
    Ok(())
}
