//! After a reset: the same machine boots a first kernel again. Its memory and its disks still have
//! what was there before.

use std::fs;
use std::path::Path;
use std::time::Instant;

use super::capture::Crashed;
use super::first::First;
use super::{Setup, Stage, disks};
use crate::error::{Error, check_eq};
use crate::evidence::outcome::{Evidence, Phase};
use crate::guest::initramfs::Role;
use crate::machine::vm::{Arrival, RAM};

impl<'s, 'c> First<'s, 'c> {
    /// Reboots into the first kernel of `setup`, which is another QEMU, as in
    /// [`Crashed::boot_again_as`].
    pub(crate) fn reboot_as(mut self, setup: &Setup) -> Result<First<'s, 'c>, Error> {
        self.vm.say("sync; reboot -f\n")?;
        while !matches!(self.vm.next_or_end("the machine to reset itself")?, Arrival::End) {}
        self.note("the machine reboots");
        let First { stage, vm, .. } = self;
        let before = vm.directory().to_owned();
        drop(vm);
        stage.boot_in(&before, setup)
    }

    /// From now on a reset boots the machine again, instead of ending it.
    pub(crate) fn survive_resets(&mut self) -> Result<(), Error> {
        self.vm.monitor.survive_resets()
    }
}

impl<'c> Stage<'c> {
    /// Boots the first kernel with the memory and the disks of a machine that is gone, whose files
    /// are in `before`. To the kernel this is a reset: firmware runs, and memory has what was in
    /// it.
    fn boot_in(&mut self, before: &Path, setup: &Setup) -> Result<First<'_, 'c>, Error> {
        let directory = self.next_machine()?;
        let (machine, release) = self.build(setup, &directory)?;
        let disks = (0..setup.disks.len()).map(disks::name);
        for name in [RAM.to_owned()].into_iter().chain(disks) {
            let from = before.join(&name);
            fs::rename(&from, directory.join(name)).map_err(Error::file("move", &from))?;
        }
        // Not `switch_on`, which may begin again with new memory.
        let mut vm = self.start(&machine, &directory, None)?;
        let found = vm.await_greeting(Role::First, |_| Ok(()))?;
        check_eq!(found, release, "release of the first kernel")?;
        self.outcome.now(format!("Linux {found} is up, in the memory of the machine before"));
        Ok(First::new(self, vm, found))
    }
}

impl<'s, 'c> Crashed<'s, 'c> {
    /// Presses the reset button. `between` can change the memory that the next boot finds.
    pub(crate) fn press_reset(
        &mut self,
        between: impl FnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.vm.monitor.stop()?;
        between(self)?;
        self.vm.monitor.reset()?;
        self.stage.outcome.now("the machine is reset from outside");
        self.vm.monitor.go_on()
    }

    /// Waits until the first kernel is up again after a reset. On the way the purgatory must say
    /// what `expected` checks.
    pub(crate) fn boot_again(
        mut self,
        expected: impl FnOnce(&Self) -> Result<(), Error>,
    ) -> Result<First<'s, 'c>, Error> {
        let mut lines = Vec::new();
        let release = self.vm.await_greeting(Role::First, |line| {
            lines.push(line.clone());
            Ok(())
        })?;
        lines.iter().try_for_each(|line| self.listen(line))?;
        expected(&self)?;
        let Self { stage, vm, victim, .. } = self;
        check_eq!(release, victim.release, "release of the kernel that boots after the reset")?;
        stage.outcome.enter(Phase::Boot, Instant::now());
        stage.outcome.evidence = Evidence::default();
        stage.outcome.now(format!("Linux {release} is up again"));
        Ok(First::new(stage, vm, release))
    }
    /// Boots a first kernel as `setup` says in the memory that this machine leaves. QEMU is told
    /// the kernel's command line once, so this is another QEMU.
    pub(crate) fn boot_again_as(self, setup: &Setup) -> Result<First<'s, 'c>, Error> {
        let Self { stage, vm, .. } = self;
        let before = vm.directory().to_owned();
        drop(vm);
        stage.boot_in(&before, setup)
    }
}
