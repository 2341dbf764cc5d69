//! `removed-dimm*`: the lower of two DIMMs is removed, and the kernel's elfcorehdr still lists it.
//! What does it cost to save a dump, without and with a reload before the panic?
//!
//! The capture kernel reads the hole. Under QEMU it has zeroes there, one slow access after the
//! other. On a real machine, such a read can raise a machine check.

use capture_init::Record;

use super::case::{self, Case};
use crate::error::{Error, check, check_eq};
use crate::guest::setup::Content;
use crate::machine::DIMM_SIZE;
use crate::machine::disk::{Bus, part_uuid};
use crate::scenario::table;
use crate::stage::saved::Saved;
use crate::stage::{First, Setup, Stage, guest, number};

/// The level at which makedumpfile leaves out all that it can.
const LEVEL: u32 = 31;

table! {
    "removed-dimm", [CrashHotplug], by_ours,
        "the lower of two DIMMs is removed: what /init saves, and how long it takes, without and \
         with a reload",
        lab: Like("capture-raw");
    "removed-dimm-makedumpfile", [CrashHotplug, Makedumpfile], by_makedumpfile,
        "the same with makedumpfile at level 31: 1.7.7 or newer, if setup has fetched it",
        lab: NotOurs("a measurement of makedumpfile");
}

/// What saving took.
struct Took {
    /// Bytes of /proc/vmcore, headers not counted.
    vmcore: u64,
    /// Bytes of the dump.
    dump: u64,
    milliseconds: u64,
}

fn by_ours(stage: &mut Stage<'_>) -> Result<(), Error> {
    let setup = Setup { dimms: 2, ..Case::of(Bus::Nvme, Content::Nothing).setup() };
    let arm = |first: &mut First<'_, '_>| {
        let target = format!("PARTUUID={}", part_uuid(0));
        case::arm(first, &target, &format!("the dump goes to {target}")).map(drop)
    };
    both(stage, |stage, reloads| {
        let mut first = stage.boot(&setup)?;
        first.load_drivers()?;
        arm(&mut first)?;
        remove_lower(&mut first)?;
        if reloads {
            arm(&mut first)?;
        } else {
            expect_no_warning(&mut first)?;
        }
        let image = first.disk(0);
        let mut crashed = first.panic(None)?;
        crashed.await_saved()?;
        crashed.orderly_reset()?;
        let saved = Saved::in_partition(&image)?;
        saved.expect_complete(&crashed.victim)?;
        let Record { times, dump: Some(dump), .. } = saved.record else {
            return Err(Error::Failed("the record has no dump".into()));
        };
        Ok(Took {
            vmcore: dump.pages.unwrap_or_default().all * sentinel::PAGE_SIZE as u64,
            dump: dump.bytes,
            milliseconds: times.saved_ms.unwrap_or_default() - times.dump_ms.unwrap_or_default(),
        })
    })
}

/// `status` does not advise a reload: /init leaves out what was removed.
fn expect_no_warning(first: &mut First<'_, '_>) -> Result<(), Error> {
    let status = first.vm.run_ok(&format!("{} status", guest::LOADER))?;
    check!(!status.contains("[memory_"), "`status`: expected no word about memory, found {status}")
}

fn by_makedumpfile(stage: &mut Stage<'_>) -> Result<(), Error> {
    let program = stage.context.makedumpfile()?.clone();
    stage.outcome.fact("makedumpfile", &program.version);
    both(stage, |stage, reloads| {
        let mut first = stage.boot(&Setup { dimms: 2, ..Setup::default() })?;
        first.arm("")?;
        remove_lower(&mut first)?;
        if reloads {
            first.arm("")?;
        }
        let mut capture = first.panic(None)?.capture()?;
        // The time is the user space's, in hundredths of a second.
        let said = capture.run_ok(&format!(
            "read before idle </proc/uptime && \
             {} -z -d {LEVEL} /proc/vmcore /tmp/dump >/tmp/said 2>&1 && \
             read after idle </proc/uptime && \
             stat -c %s /proc/vmcore /tmp/dump && echo $before $after | tr -d . || cat /tmp/said",
            program.program
        ))?;
        let numbers = said.split_whitespace().map(number).collect::<Result<Vec<u64>, _>>()?;
        let [vmcore, dump, before, after] = numbers[..] else {
            return Err(Error::unreadable("sizes and times", &said));
        };
        Ok(Took { vmcore, dump, milliseconds: 10 * (after - before) })
    })
}

/// Saves without and with a reload, and notes the figures.
fn both(
    stage: &mut Stage<'_>,
    mut save: impl FnMut(&mut Stage<'_>, bool) -> Result<Took, Error>,
) -> Result<(), Error> {
    let [stale, reloaded] = [save(stage, false)?, save(stage, true)?];
    for (name, took) in [("without", &stale), ("with", &reloaded)] {
        let Took { vmcore, dump, milliseconds } = took;
        stage.outcome.fact(format!("{name} reload: /proc/vmcore"), format!("{vmcore} bytes"));
        stage.outcome.fact(format!("{name} reload: dump"), format!("{dump} bytes"));
        stage.outcome.fact(format!("{name} reload: saving"), format!("{milliseconds} ms"));
    }
    check_eq!(stale.vmcore / DIMM_SIZE, reloaded.vmcore / DIMM_SIZE + 1, "GiB of /proc/vmcore")
}

/// Plugs in two DIMMs, removes the lower one, and writes a sentinel into the other. The elfcorehdr
/// still lists both.
fn remove_lower(first: &mut First<'_, '_>) -> Result<(), Error> {
    let lower = first.add_dimm(0)?;
    let upper = first.add_dimm(1)?;
    check!(lower.end <= upper.start, "DIMM 0: expected below DIMM 1, found {lower:x?}")?;
    first.vm.monitor.remove_dimm(0)?;
    first.note("DIMM 0 is gone");
    first.place_sentinel_in(1, &upper)?;
    check!(first.lists(&lower)?, "the elfcorehdr: expected that it still lists DIMM 0")
}
