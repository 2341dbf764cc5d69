//! `bad-input-in-vm`: what a live kernel refuses; an armed image stays armed.

use crate::error::{Error, check, check_eq};
use crate::first::{CAPTURE_APPEND, First, load_command};
use crate::scenario::{Need, Scenario};
use crate::stage::{Setup, Stage, guest};

/// `kdump-loader` could not do what it was asked to.
const COULD_NOT: i32 = 1;

pub(super) fn all() -> Vec<Scenario> {
    vec![Scenario {
        name: "bad-input-in-vm",
        summary: "not root, too small a region, lockdown, kexec_load_disabled, no reservation: refused in words, still armed",
        needs: &[Need::Makedumpfile],
        story: bad_input,
    }]
}

fn bad_input(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut first = stage.boot(&Setup { crashkernel: Some("128M"), ..Setup::default() })?;
    first.arm("")?;

    refused(&mut first, "not root", &as_nobody(&load()), &["root"])?;
    first.vm.run_ok("dd if=/dev/zero of=/tmp/big bs=1M count=160")?;
    let too_big = load().replace(guest::INITRD, "/tmp/big");
    refused(&mut first, "region too small", &too_big, &["MiB", "crashkernel="])?;
    first.vm.run_ok("rm /tmp/big; echo integrity >/sys/kernel/security/lockdown")?;
    refused(&mut first, "lockdown", &load(), &["lockdown"])?;
    first.vm.run_ok("echo 1 >/proc/sys/kernel/kexec_load_disabled")?;
    refused(&mut first, "kexec_load_disabled", &load(), &["kexec_load_disabled"])?;
    first.switch_off();

    let mut first = stage.boot(&Setup { crashkernel: None, ..Setup::default() })?;
    let said = could_not(&mut first, &load())?;
    expect_words("no reservation", &said, &["crashkernel="])?;
    first.note(format!("no reservation: {said}"));
    first.switch_off();
    Ok(())
}

fn load() -> String {
    load_command(CAPTURE_APPEND, "")
}

/// The command as user nobody.
fn as_nobody(command: &str) -> String {
    format!("su nobody -s /bin/sh -c \"{command}\"")
}

/// The command must fail in these words, and what was armed before must still be.
fn refused(first: &mut First<'_, '_>, case: &str, command: &str, words: &[&str]) -> Result<(), Error> {
    let said = could_not(first, command)?;
    expect_words(case, &said, words)?;
    check_eq(format!("kexec_crash_loaded after `{case}`"), &first.crash_loaded()?, &true)?;
    first.note(format!("{case}: {said}"));
    Ok(())
}

fn could_not(first: &mut First<'_, '_>, command: &str) -> Result<String, Error> {
    let output = first.vm.run(command)?;
    check_eq(format!("exit status of `{command}`, which said {:?}", output.text), &output.status, &COULD_NOT)?;
    Ok(output.text)
}

fn expect_words(case: &str, said: &str, words: &[&str]) -> Result<(), Error> {
    let all = words.iter().all(|word| said.contains(word));
    check(all, format!("message about `{case}`"), format!("the words {words:?}"), said)
}
