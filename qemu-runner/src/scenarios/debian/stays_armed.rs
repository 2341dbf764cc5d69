//! What must not disarm a machine, with systemd as PID 1 and /boot on its own mount: `systemctl
//! restart`, `systemctl isolate rescue.target`, and shutdown up to systemd's last program.
//! `systemctl stop` by the operator does disarm. The shutdown, and nothing else, is noted for the
//! next boot.

use crate::error::{Error, check, check_eq};
use crate::stage::First;

/// What the kernel says at the very end, in the words of the program in [`HOOKS`].
const ARMED_AT_THE_END: &str =
    "last program before the kernel ends: kexec_crash_loaded 1, shutdowns noted 1";
/// Counts the shutdowns that are noted for the next boot's `last`: 0 or 1.
const NOTED: &str = "grep -c shutdown_at.:.[0-9] /var/lib/kdump-loader/armed.json";
/// systemd-shutdown runs what is in this directory when it has unmounted everything
/// (systemd-shutdown(8)).
const HOOKS: &str = "/usr/lib/systemd/system-shutdown";

/// Mounts a copy of /boot over /boot, by a unit that systemd stops at shutdown like the mount of a
/// partition.
pub(in crate::scenarios) fn mount_boot(first: &mut First<'_, '_>) -> Result<(), Error> {
    first.vm.run_ok(
        "cp -a /boot /boot.real && printf \
         '[Mount]\\nWhat=/boot.real\\nWhere=/boot\\nOptions=bind\\n\
         [Install]\\nWantedBy=local-fs.target\\n' >/etc/systemd/system/boot.mount && systemctl \
         daemon-reload && \
         systemctl enable --now boot.mount && mountpoint -q /boot",
    )?;
    first.note("/boot is a mount of its own");
    Ok(())
}

/// The operator restarts the service, with a config that cannot be read and with the right one:
/// the same image stays armed. Then the operator disarms and arms again.
pub(in crate::scenarios) fn restart_stop_and_start(first: &mut First<'_, '_>) -> Result<(), Error> {
    let identity = first.image()?.identity;
    restart_with_a_bad_config(first)?;
    check_eq!(first.image()?.identity, identity, "identity after a restart with a bad config")?;
    first.vm.run_ok(&format!("{MEND} && systemctl restart kdump-loader.service"))?;
    first.expect_armed(true, "after `systemctl restart`")?;
    check_eq!(first.image()?.identity, identity, "identity after `systemctl restart`")?;
    first.note("`systemctl restart` has failed and succeeded, and the image stayed armed");
    stop_and_start(first)?;

    // systemd allows five starts in ten seconds.
    first.vm.run_ok("systemctl reset-failed kdump-loader.service")?;
    restart_with_a_bad_config(first)?;
    first.vm.run_ok(MEND)?;
    // It disarms although the service has failed.
    stop_and_start(first)
}

/// Adds a key that does not exist to the config.
const BREAK: &str = "echo 'unknown_key = 1' >>/etc/kdump-loader.toml";
/// Removes it.
const MEND: &str = "sed -i '$d' /etc/kdump-loader.toml";

fn restart_with_a_bad_config(first: &mut First<'_, '_>) -> Result<(), Error> {
    first.vm.run_to(1, &format!("{BREAK} && systemctl restart kdump-loader.service"))?;
    first.vm.run_ok("systemctl is-failed kdump-loader.service")?;
    first.expect_armed(true, "after `systemctl restart` with a bad config")
}

fn stop_and_start(first: &mut First<'_, '_>) -> Result<(), Error> {
    first.vm.run_ok("systemctl stop kdump-loader.service")?;
    first.expect_armed(false, "after `systemctl stop`")?;
    first.vm.run_ok("systemctl start kdump-loader.service")?;
    first.expect_armed(true, "after `systemctl start`")
}

/// Isolates rescue.target; the runner's shell is the one other unit that stays.
pub(in crate::scenarios) fn isolate_rescue(first: &mut First<'_, '_>) -> Result<(), Error> {
    first.vm.run_ok(
        "mkdir -p /run/systemd/system/agent.service.d /run/systemd/system/rescue.service.d && \
         printf '[Unit]\\nIgnoreOnIsolate=yes\\n' >/run/systemd/system/agent.service.d/stays.conf \
         && \
         printf '[Service]\\nExecStart=\\nExecStart=/bin/sleep infinity\\n' \
         >/run/systemd/system/rescue.service.d/no-login.conf && \
         systemctl daemon-reload && systemctl isolate rescue.target",
    )?;
    let reached = first.vm.run(
        "systemctl is-active --quiet rescue.target && ! systemctl \
                                is-active --quiet multi-user.target",
    )?;
    check_eq!(reached.status, 0, "whether rescue.target took the place of multi-user.target")?;
    first.vm.run_ok(
        "systemctl is-active kdump-loader.service kdump-loader-reload.path \
         kdump-loader-shutdown.service kdump-loader-disarm.service",
    )?;
    first.expect_armed(true, "in rescue.target")?;
    check_eq!(first.vm.run(NOTED)?.text.trim(), "0", "shutdowns noted in rescue.target")?;
    first.note("rescue.target is reached, and the image is still armed");
    Ok(())
}

/// Leaves a program that says at the very end of the shutdown whether an image is armed, and
/// whether the shutdown was noted.
pub(in crate::scenarios) fn watch_the_end(first: &mut First<'_, '_>) -> Result<(), Error> {
    first.vm.run_ok(&format!(
        "mkdir -p {HOOKS} && printf '#!/bin/sh\\necho \"last program before the kernel ends: \
         kexec_crash_loaded $(cat /sys/kernel/kexec_crash_loaded), shutdowns noted $({NOTED})\" \
         >/dev/console\\n' >{HOOKS}/armed && chmod 755 {HOOKS}/armed"
    ))?;
    Ok(())
}

/// What that program said, among the lines of a shutdown.
pub(in crate::scenarios) fn expect_armed_at_the_end(shutdown: &[String]) -> Result<(), Error> {
    let said = shutdown.iter().any(|line| line.contains(ARMED_AT_THE_END));
    let last = shutdown.iter().rev().take(5).cloned().collect::<Vec<_>>().join(" | ");
    check!(said, "the end of the shutdown: expected {}, found {last}", ARMED_AT_THE_END)
}
