//! `debian-last`: a dump comes out, and after the reboot `kdump-loader last` says where it is.
//!
//! The machine is reset by Debian's capture service and boots from its disk. The loader's service
//! harvests the black box as it arms.

use std::time::Duration;

use crate::error::{Error, check, check_eq, expect_words};
use crate::machine::deadline::Deadline;
use crate::scenario::table;
use crate::scenarios::debian::hotplug_service::{expect_armed_at_boot, switch_over};
use crate::scenarios::debian::service::expect_our_purgatory;
use crate::stage::installed::{self, Guest, Kexec};
use crate::stage::{PANIC, Stage, json};

/// As for Debian's own service, and one boot more.
const LIMIT: Duration = Duration::from_secs(1200);
/// What the loader's service says in the journal about the boot before.
const JOURNAL: &str = "the machine panicked before this boot (Kernel panic - not syncing: sysrq \
                       triggered crash); the purgatory started the capture kernel (ok)";

table! {
    "debian-last", [DebianDisk], story,
        "Debian's capture service saves the dump and reboots; the journal names the panic, `last` \
         says where the dump is, and `status` reports no unseen panic",
        lab: Like("debian-hotplug-service");
}

fn story(stage: &mut Stage<'_>) -> Result<(), Error> {
    stage.deadline = Deadline::after(LIMIT);
    let guest = Guest::with(Kexec::Peer);
    let (mut first, _disk) = installed::boot(stage, &guest)?;
    switch_over(&mut first)?;
    first.survive_resets()?;
    first.vm.run_ok("sync")?;
    let mut crashed = first.panic(None)?;
    expect_our_purgatory(&mut crashed)?;
    crashed.await_words("the capture service has saved the dump", "saved vmcore in /var/crash/")?;
    let mut first = crashed.boot_again(|_| Ok(()))?;
    expect_armed_at_boot(&mut first)?;

    let journal = "journalctl --sync && journalctl -b -q -o cat -u kdump-loader.service";
    expect_words("the journal", &first.vm.run_ok(journal)?, &[JOURNAL])?;
    let status = first.vm.run_ok("kdump-loader status --json 2>/dev/null")?;
    check!(!status.contains("unseen_panic"), "`status`: expected no unseen panic, found {status}")?;

    let last = "kdump-loader last";
    let told: serde_json::Value = json(&first.vm.run_ok(&format!("{last} --json"))?)?;
    let panic = &told["panics"][0];
    check_eq!(panic["dump"], "saved", "what `last` tells of the dump in {told:#}")?;
    let path = panic["path"].as_str().unwrap_or_default().to_owned();
    let len = first.vm.run_ok(&format!("stat -c %s {path}"))?;
    check_eq!(panic["len"].to_string(), len, "length of the dump {path} that `last` tells")?;
    let text = first.vm.run_ok(last)?;
    first.note(format!("`last` after the reboot: {text}"));
    let words = ["dump         saved: /var/crash/", PANIC, "open the dump with crash or drgn"];
    expect_words("`last`", &text, &words)
}
