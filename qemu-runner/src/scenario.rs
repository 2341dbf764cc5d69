//! The table of scenarios, and how one is run.

use std::sync::LazyLock;
use std::time::Duration;

use crate::context::Context;
use crate::deadline::Deadline;
use crate::error::Error;
use crate::outcome::Outcome;
use crate::stage::Stage;

/// How long a run may take when its scenario does not say otherwise. The longest of these takes a minute on two idle cores. Beside a build, a
/// run takes three times as long; the rest is for slower machines.
pub const LIMIT: Duration = Duration::from_secs(600);

/// A story about one crash.
pub struct Scenario {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What it shows, in one sentence.
    pub summary: &'static str,
    /// What must be there besides QEMU, busybox, the loader and the kernel of the open series.
    pub(crate) needs: &'static [Need],
    /// Whether it may be left out where something that it needs cannot be had; otherwise it has failed then.
    pub may_be_skipped: bool,
    /// What happens.
    pub(crate) story: fn(&mut Stage<'_>) -> Result<(), Error>,
}

/// Something that a scenario cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// The kernel of this series.
    Kernel(&'static str),
    /// makedumpfile for the capture kernel's user space.
    Makedumpfile,
    /// kexec-tools.
    Kexec,
    /// udev and flock, and the programs that watch and crash a guest.
    Storm,
    /// EFI firmware.
    Ovmf,
    /// The open series' driver for virtio-mem.
    VirtioMem,
    /// An installed Debian.
    DebianDisk,
    /// The purgatory as a file, for its symbols.
    Purgatory,
    /// The purgatories for Linux and for kexec-tools.
    DropIns,
}

/// Every scenario, family by family.
pub fn scenarios() -> &'static [Scenario] {
    static ALL: LazyLock<Vec<Scenario>> = LazyLock::new(crate::scenarios::all);
    &ALL
}

impl Scenario {
    /// Why it cannot be run here; `None` when it can.
    pub fn missing(&self, context: &Context) -> Option<String> {
        let open = self.needs.iter().all(|need| !matches!(need, Need::Kernel(_)));
        let kernel = if open { context.kernel(context.series()).map(drop) } else { Ok(()) };
        let needs = self.needs.iter().map(|need| match need {
            Need::Kernel(series) => context.kernel(series).map(drop),
            Need::Makedumpfile => context.makedumpfile().map(drop),
            Need::Kexec => context.kexec().map(drop),
            Need::Storm => {
                let programs = [context.udev(), context.flock()].into_iter().map(|program| program.map(drop));
                let built = [context.poller(), context.trigger()].into_iter().map(|program| program.map(drop));
                programs.chain(built).collect()
            }
            Need::Ovmf => context.ovmf().map(drop),
            Need::VirtioMem => context.virtio_mem().map(drop),
            Need::DebianDisk => context.debian_disk().map(drop),
            Need::Purgatory => context.purgatory().map(drop),
            Need::DropIns => {
                let of_linux = [context.linux_drop_in(), context.linux_drop_in_with_console(), context.linux_drop_in_resetting()];
                let of_kexec_tools = [context.kexec_tools_drop_in(), context.kexec_tools_drop_in_symbols()];
                let drop_ins = of_linux.into_iter().chain(of_kexec_tools);
                drop_ins.into_iter().try_for_each(|drop_in| drop_in.map(drop))
            }
        });
        let built = [context.loader().map(drop), context.sentinel().map(drop), context.busybox().map(drop), kernel];
        built.into_iter().chain(needs).find_map(Result::err).map(|error| error.to_string())
    }

    /// Whether it plays on the disk with an installed Debian.
    pub fn needs_debian_disk(&self) -> bool {
        self.needs.contains(&Need::DebianDisk)
    }

    /// Runs it.
    pub fn run(&self, context: &Context) -> Result<Outcome, Error> {
        let mut stage = Stage::new(context, Outcome::new(self.name), Deadline::after(LIMIT))?;
        let result = (self.story)(&mut stage);
        let story = stage.outcome.to_string();
        // Cleaning up comes after every end; what went wrong before is worth more than what goes wrong then.
        let closed = stage.close();
        match result {
            Ok(()) => closed,
            Err(error) => Err(Error::Scenario { name: self.name, story, source: Box::new(error) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_can_be_typed() {
        for (index, scenario) in scenarios().iter().enumerate() {
            assert!(scenario.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'));
            assert!(scenario.summary.len() > 10 && !scenario.summary.ends_with('.'), "{}", scenario.name);
            assert!(scenarios()[index + 1..].iter().all(|other| other.name != scenario.name), "{}", scenario.name);
        }
    }

    #[test]
    fn only_what_needs_a_kernel_that_may_be_gone_or_root_to_be_made_may_be_skipped() {
        for scenario in scenarios() {
            let may_be_gone = scenario.needs.contains(&Need::Kernel("7")) || scenario.needs_debian_disk();
            assert_eq!(scenario.may_be_skipped, may_be_gone, "{}", scenario.name);
        }
    }

    #[test]
    fn nothing_can_be_run_without_assets() {
        let root = tempfile::tempdir().unwrap();
        let context = Context::from_repo(root.path(), None, false).unwrap();
        for scenario in scenarios() {
            assert!(scenario.missing(&context).is_some(), "{}", scenario.name);
        }
    }
}
