//! The ways to keep the crash image up to date while memory and CPUs change, each with its udev
//! rule.
//!
//! kdump-loader's rule is the installed one. The peers' rules and scripts are written here. They
//! act on the same events as the services that ship them, unload first if those do, and wait as
//! those wait. Only what starts them differs: these guests have no systemd, so a storm is the same
//! on every kernel.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::error::Error;
use crate::machine::disk::part_uuid;
use crate::stage::{CAPTURE_APPEND, First, GuestFile, RESET_DELAY_S, guest, kexec_command, number};

/// Part of the command line of every process that works on the image.
pub const WORK: &str = "/bin/keep-image";
/// Loads it, one process at a time.
const RELOAD: &str = "/bin/keep-image-reload";
/// Runs from udev where events are queued.
const QUEUE: &str = "/bin/keep-image-queue";
/// Holds when each event was queued, in seconds since boot, one a line.
pub const QUEUED: &str = "/tmp/keep-image.queued";
/// Runs from udev where events are collected first.
const THROTTLE: &str = "/bin/keep-image-throttle";
const RULE: &str = "/etc/udev/rules.d/98-keep-image.rules";
const CONFIG: &str = "/etc/kdump-loader.toml";

/// Reloads that are timed together, because /proc/uptime has only two decimals.
const LOOKS: u32 = 20;

/// A way to keep the image up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Contestant {
    /// kexec-tools: unload and load for each event, one after another (kdump-utils before its
    /// throttler, Debian's kdump-tools).
    KexecPerEvent,
    /// kexec-tools with a throttler: one waiter collects events for a second and until udev has
    /// settled, then unloads and loads (kdump-utils, `kdump-udev-throttler`).
    KexecThrottled,
    /// kdump-loader without the hotplug flag: events are queued, and a burst of them causes one or
    /// two reloads in place.
    ReloadInPlace,
    /// kdump-loader by default: the kernel rewrites the elfcorehdr, and only removed memory causes
    /// a reload in place.
    InKernel,
    /// The same with `--capture`, whose filter leaves removed memory out: nothing causes a reload.
    Capture,
}

impl Contestant {
    /// Those of a storm. [`Self::Capture`] does what [`Self::InKernel`] does until memory goes.
    pub const OF_STORMS: [Self; 4] =
        [Self::KexecPerEvent, Self::KexecThrottled, Self::ReloadInPlace, Self::InKernel];

    /// Its name on the command line and in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::KexecPerEvent => "kexec-per-event",
            Self::KexecThrottled => "kexec-throttled",
            Self::ReloadInPlace => "reload-in-place",
            Self::InKernel => "in-kernel",
            Self::Capture => "capture",
        }
    }

    /// What it is, in a few words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::KexecPerEvent => "kexec-tools, unload and load for each event",
            Self::KexecThrottled => "kexec-tools, throttled: unload and load",
            Self::ReloadInPlace => "kdump-loader, no hotplug flag: queued reloads in place",
            Self::InKernel => "kdump-loader, the kernel updates the elfcorehdr",
            Self::Capture => "kdump-loader with --capture, the kernel updates the elfcorehdr",
        }
    }

    /// Why it is impossible on this kernel series, if it is.
    pub fn impossible_on(self, series: &str) -> Option<&'static str> {
        (matches!(self, Self::InKernel | Self::Capture) && series == "6.1")
            .then_some("kernels before 6.6 do not update the elfcorehdr")
    }

    pub(crate) fn arm(self, first: &mut First<'_, '_>) -> Result<(), Error> {
        let command = match self {
            Self::KexecPerEvent | Self::KexecThrottled => {
                kexec_command(&first.stage.context.kexec()?.program, CAPTURE_APPEND)
            }
            Self::ReloadInPlace | Self::InKernel | Self::Capture => {
                format!("{} reload", guest::LOADER)
            }
        };
        first.vm.run_ok(&command)?;
        first.expect_armed(true, "after arming")?;
        first.note(format!("armed by {self}"));
        Ok(())
    }

    /// Seconds of one reload of ours that finds nothing to do, as the guest's clock has them.
    pub(crate) fn look(self, first: &mut First<'_, '_>) -> Result<Option<f64>, Error> {
        if matches!(self, Self::KexecPerEvent | Self::KexecThrottled) {
            return Ok(None);
        }
        let now = "cut -d ' ' -f 1 /proc/uptime";
        let looks = format!("for i in $(seq {LOOKS}); do {} reload || exit 1; done", guest::LOADER);
        let said = first.vm.run_ok(&format!("{now}; {looks} >/dev/null 2>&1; {now}"))?;
        let (began, ended) = said
            .split_once('\n')
            .ok_or_else(|| Error::unreadable("the times around a look", &said))?;
        let took_s = number::<f64>(ended)? - number::<f64>(began)?;
        Ok(Some(took_s / f64::from(LOOKS)))
    }

    /// The text of [`CONFIG`].
    fn config(self) -> String {
        let (kernel, initrd) = (guest::KERNEL, guest::INITRD);
        let saver = match self {
            Self::Capture => format!("capture = 'PARTUUID={}'", part_uuid(0)),
            _ => format!("initrd = '{initrd}'\nappend = '{CAPTURE_APPEND}'"),
        };
        let no_hotplug = self == Self::ReloadInPlace;
        format!(
            "kernel = '{kernel}'\n{saver}\nreset_delay = {RESET_DELAY_S}\nno_hotplug = \
             {no_hotplug}\n"
        )
    }

    pub(crate) fn files(self, context: &Context) -> Result<Vec<GuestFile>, Error> {
        let kexec = &context.kexec()?.program;
        let script = |path, text| GuestFile { path, mode: 0o755, text };
        let rule = |text| GuestFile { path: RULE, mode: 0o644, text };
        let unload_and_load = script(
            RELOAD,
            under_lock(&format!("{kexec} -p -u\n{}", kexec_command(kexec, CAPTURE_APPEND))),
        );
        Ok(match self {
            Self::KexecPerEvent => vec![rule(rule_text(RELOAD)), unload_and_load],
            Self::KexecThrottled => {
                let throttle = throttle(&context.udev()?.program);
                vec![rule(rule_text(THROTTLE)), unload_and_load, script(THROTTLE, throttle)]
            }
            Self::ReloadInPlace | Self::InKernel | Self::Capture => {
                let config = GuestFile { path: CONFIG, mode: 0o644, text: self.config() };
                vec![rule(our_rule()), config, script(QUEUE, queue()), script(RELOAD, drain())]
            }
        })
    }
}

impl fmt::Display for Contestant {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// kdump-loader's own rule, as it is installed ...
const OUR_RULE: &str = include_str!("../../../kdump-loader/src/service/dist/40-kdump-loader.rules");
/// ... and what it runs there.
const OURS_QUEUES_BY: &str = "/usr/sbin/kdump-loader reload --queue";

/// The same rule. The script that queues also starts what systemd's path unit would start.
fn our_rule() -> String {
    OUR_RULE.replace(OURS_QUEUES_BY, QUEUE)
}

/// kexec-tools' rule: it runs `program` on the events of kdump-utils' rule, which are CPUs that
/// come or go, and memory that goes online or offline.
fn rule_text(program: &str) -> String {
    format!(
        "SUBSYSTEM==\"cpu\", ACTION==\"add|remove\", RUN+=\"{program}\"\n\
         SUBSYSTEM==\"memory\", ACTION==\"online|offline\", RUN+=\"{program}\"\n"
    )
}

/// Queues an event, notes when, and starts the reload, as the path unit of kdump-loader's service
/// would.
fn queue() -> String {
    let loader = guest::LOADER;
    format!(
        "#!/bin/sh\nexport PATH=/bin\n{loader} reload --queue \"$@\"\nread now rest \
         </proc/uptime\necho $now >>{QUEUED}\n\
         setsid {RELOAD} </dev/null >/dev/null 2>&1 &\n"
    )
}

/// Answers events until none is left. A process that finds the lock taken may end: the holder looks
/// once more after it has released the lock.
fn drain() -> String {
    let loader = guest::LOADER;
    format!(
        "#!/bin/sh\nexport PATH=/bin:/usr/bin\nexec >>/tmp/keep-image.log 2>&1\n\
         while [ -e /run/kdump-loader/pending ]; do flock -n /run/keep-image.lock {loader} reload \
         || exit 0; done\n"
    )
}

/// A script that does `work` under a lock, and logs its output.
fn under_lock(work: &str) -> String {
    format!(
        "#!/bin/sh\nexport PATH=/bin:/usr/bin\nexec >>/tmp/keep-image.log 2>&1 \
         9>/run/keep-image.lock\nflock 9\n{work}\n"
    )
}

/// The throttler. A second one ends at once. The first waits a second and until udev has settled,
/// releases the lock and reloads. It outlives udev's program, as a service that the rule starts
/// would.
fn throttle(udevadm: &str) -> String {
    format!(
        "#!/bin/sh\nexport PATH=/bin:/usr/bin\n[ \"$1\" = go ] || {{ setsid {THROTTLE} go \
         </dev/null >/dev/null 2>&1 & exit 0; }}\n\
         exec 8>/run/keep-image.throttle\nflock -n 8 || exit 0\nsleep 1\n{udevadm} settle \
         --timeout=3\nexec 8>&-\nexec {RELOAD}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_rule_queues_by_the_script_and_nothing_else() {
        assert!(!rule_text(RELOAD).contains("crash_hotplug"));
        let rule = our_rule();
        assert!(
            rule.contains(&format!("\"{QUEUE}\""))
                && rule.contains(&format!("\"{QUEUE} --removed %k\"")),
            "{rule}"
        );
        assert!(
            !rule.lines().any(|line| !line.starts_with('#') && line.contains("kdump-loader ")),
            "{rule}"
        );
    }

    #[test]
    fn names_are_those_of_the_records() {
        for contestant in Contestant::OF_STORMS.into_iter().chain([Contestant::Capture]) {
            assert_eq!(serde_json::to_string(&contestant).unwrap(), format!("\"{contestant}\""));
        }
    }
}
