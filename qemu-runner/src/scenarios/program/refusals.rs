//! `bad-input-in-vm`, `half-of-memory`: what is rejected on a live kernel. An armed image stays
//! armed.

use handoff::RegionKind;

use crate::error::{Error, check, check_eq};
use crate::scenario::table;
use crate::stage::first::{CAPTURE_APPEND, First, load_command, number};
use crate::stage::{Setup, Stage, guest};

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
         old image stays armed";
}

fn bad_input(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut first = stage.boot(&Setup { crashkernel: Some("128M"), ..Setup::default() })?;
    let armed = first.arm("")?.image.identity;

    refused(&mut first, &armed, "not root", &as_nobody(&load()), &["root"])?;
    first.vm.run_ok(&format!("head -c 1000000 {} >/tmp/short", guest::KERNEL))?;
    let short = load().replace(guest::KERNEL, "/tmp/short");
    refused(&mut first, &armed, "truncated kernel", &short, &["/tmp/short", "truncated"])?;
    first.vm.run_ok("dd if=/dev/zero of=/tmp/big bs=1M count=160")?;
    let too_big = load().replace(guest::INITRD, "/tmp/big");
    refused(&mut first, &armed, "region too small", &too_big, &["MiB", "crashkernel="])?;
    first.vm.run_ok("rm /tmp/big; echo integrity >/sys/kernel/security/lockdown")?;
    refused(&mut first, &armed, "lockdown", &load(), &["lockdown"])?;
    first.vm.run_ok("echo 1 >/proc/sys/kernel/kexec_load_disabled")?;
    refused(&mut first, &armed, "kexec_load_disabled", &load(), &["kexec_load_disabled"])?;
    first.switch_off();

    let mut first = stage.boot(&Setup { crashkernel: Some("128M"), ..Setup::default() })?;
    first.vm.run_ok("echo 0 >/sys/kernel/kexec_crash_size")?;
    let said = could_not(&mut first, &load())?;
    expect_words(
        "a reservation that was given back",
        &said,
        &["crashkernel=128M", "given back", "kexec_crash_size", "reboot"],
    )?;
    first.note(format!("a reservation that was given back: {said}"));
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
    let others =
        armed.loaded.segments.iter().filter(|segment| segment.name != RegionKind::Initrd.name());
    let initrd = (total << 10) / 2 + EXCESS - others.map(|segment| segment.len).sum::<u64>();
    // A hole, which takes no memory before it is loaded; it begins as an initrd does.
    first.vm.run_ok(&format!("printf 070701 >/tmp/large && truncate -s {initrd} /tmp/large"))?;
    let large = load().replace(guest::INITRD, "/tmp/large");
    refused(
        &mut first,
        &armed.image.identity,
        "larger than half of memory",
        &large,
        &["half", "memory"],
    )?;
    first.switch_off();
    Ok(())
}

fn load() -> String {
    load_command(CAPTURE_APPEND, "")
}

fn as_nobody(command: &str) -> String {
    format!("su nobody -s /bin/sh -c \"{command}\"")
}

/// The command must fail in these words, and the image that was armed before must still be.
fn refused(
    first: &mut First<'_, '_>,
    armed: &str,
    case: &str,
    command: &str,
    words: &[&str],
) -> Result<(), Error> {
    let said = could_not(first, command)?;
    expect_words(case, &said, words)?;
    check_eq!(first.image()?.identity, *armed, "identity of the image in memory after `{case}`")?;
    check_eq!(first.crash_loaded()?, true, "kexec_crash_loaded after `{case}`")?;
    first.note(format!("{case}: {said}"));
    Ok(())
}

fn could_not(first: &mut First<'_, '_>, command: &str) -> Result<String, Error> {
    let output = first.vm.run(command)?;
    check_eq!(
        output.status,
        COULD_NOT,
        "exit status of `{command}`, which said {:?}",
        output.text
    )?;
    Ok(output.text)
}

fn expect_words(case: &str, said: &str, words: &[&str]) -> Result<(), Error> {
    let all = words.iter().all(|word| said.contains(word));
    check!(all, "message about `{case}`: expected the words {words:?}, found {said}")
}
