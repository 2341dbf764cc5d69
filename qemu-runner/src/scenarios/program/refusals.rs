//! `bad-input-in-vm`, `half-of-memory`: what is rejected on a live kernel. An armed image stays
//! armed.

use handoff::RegionKind;

use crate::error::{Error, check_eq, expect_words};
use crate::scenario::table;
use crate::stage::{CAPTURE_APPEND, First, Setup, Stage, guest, load_command, number};

/// `kdump-loader` could not do what it was asked to.
const COULD_NOT: i32 = 1;

/// How much larger than half of memory an image is made: less than the kernel itself takes of the
/// rest, which /proc/iomem counts as memory and MemTotal does not.
const EXCESS: u64 = 8 << 20;

table! {
    "bad-input-in-vm", [Makedumpfile, Lockdown], bad_input,
        "six bad requests are rejected with the reason, from an unprivileged user to lockdown, \
         and the old image stays armed";
    "half-of-memory", [Makedumpfile], too_large,
        "an image that fits the crash region, but exceeds half of memory, is rejected, and the \
         old image stays armed",
        lab: Like("bad-input-in-vm");
}

fn bad_input(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut first = stage.boot(&Setup { crashkernel: Some("128M"), ..Setup::default() })?;
    let armed = first.arm("")?.image.identity;
    let load = load_command(CAPTURE_APPEND, "");
    first.vm.run_ok(&format!("head -c 1000000 {} >/tmp/short", guest::KERNEL))?;
    let short = load.replace(guest::KERNEL, "/tmp/short");
    let too_big = load.replace(guest::INITRD, "/tmp/big");

    let by_nobody = format!("su nobody -s /bin/sh -c \"{load}\"");
    refused(&mut first, &armed, "not root", &by_nobody, &["root"])?;
    refused(&mut first, &armed, "truncated kernel", &short, &["/tmp/short", "truncated"])?;
    first.vm.run_ok("dd if=/dev/zero of=/tmp/big bs=1M count=160")?;
    refused(&mut first, &armed, "region too small", &too_big, &["MiB", "crashkernel="])?;
    first.vm.run_ok("rm /tmp/big; echo integrity >/sys/kernel/security/lockdown")?;
    refused(&mut first, &armed, "lockdown", &load, &["lockdown"])?;
    first.vm.run_ok("echo 1 >/proc/sys/kernel/kexec_load_disabled")?;
    refused(&mut first, &armed, "kexec_load_disabled", &load, &["kexec_load_disabled"])?;
    first.switch_off();

    let mut first = stage.boot(&Setup { crashkernel: Some("128M"), ..Setup::default() })?;
    first.vm.run_ok("echo 0 >/sys/kernel/kexec_crash_size")?;
    let words = ["crashkernel=128M", "given back", "kexec_crash_size", "reboot"];
    could_not(&mut first, "a reservation that was given back", &load, &words)?;
    first.switch_off();
    Ok(())
}

/// An image that fits its region, but is larger than half of the memory that this leaves:
/// kexec_load(2) takes none (`sanity_check_segment_list`, kernel/kexec_core.c).
fn too_large(stage: &mut Stage<'_>) -> Result<(), Error> {
    // More than a third of memory, so that half of the rest fits the region; less than half of it,
    // so that there is room for the region wherever the kernel has put itself.
    let mut first = stage.boot(&Setup { crashkernel: Some("384M"), ..Setup::default() })?;
    let armed = first.arm("")?;
    let total: u64 = number(&first.vm.run_ok("awk '/^MemTotal:/ {print $2}' /proc/meminfo")?)?;
    let segments = armed.loaded.image.segments.iter();
    let others = segments.filter(|segment| segment.name != RegionKind::Initrd.name());
    let initrd = (total << 10) / 2 + EXCESS - others.map(|segment| segment.len).sum::<u64>();
    // A hole, which takes no memory before it is loaded; it begins as an initrd does.
    first.vm.run_ok(&format!("printf 070701 >/tmp/large && truncate -s {initrd} /tmp/large"))?;
    let large = load_command(CAPTURE_APPEND, "").replace(guest::INITRD, "/tmp/large");
    let case = "larger than half of memory";
    refused(&mut first, &armed.image.identity, case, &large, &["half", "memory"])?;
    first.switch_off();
    Ok(())
}

/// The command must fail in these words, and the image that was armed before must still be.
fn refused(
    first: &mut First<'_, '_>,
    armed: &str,
    case: &str,
    command: &str,
    words: &[&str],
) -> Result<(), Error> {
    could_not(first, case, command, words)?;
    check_eq!(first.image()?.identity, *armed, "identity of the image in memory after `{case}`")?;
    first.expect_armed(true, &format!("after `{case}`"))
}

fn could_not(
    first: &mut First<'_, '_>,
    case: &str,
    command: &str,
    words: &[&str],
) -> Result<(), Error> {
    let said = first.vm.run_to(COULD_NOT, command)?;
    expect_words(case, &said, words)?;
    first.note(format!("{case}: {said}"));
    Ok(())
}
