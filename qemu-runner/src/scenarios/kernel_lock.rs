//! `kernel-*`: how long the kernel holds its kexec lock for its own updates, and what it loses
//! while another caller holds it. For kernel developers; docs/kernel-loses-dumps.md explains it.
//!
//! Any kexec_load(2) holds the lock, also one of an ordinary kernel, which leaves the armed crash
//! image alone. Here such a call lasts for seconds, because it shares its CPU with an endless loop
//! and has the lowest priority.

use crate::error::{Error, check, expect_words};
use crate::scenario::table;
use crate::scenarios::program::reload::{configure, expect_reload};
use crate::stage::{CAPTURE_APPEND, END_OF_PANIC, First, Setup, Stage, guest, kexec_command};
use crate::storm::calls::UPDATE_FUNCTION;
use crate::storm::size::BLOCK_MIB;

/// The CPU of the slow call, which is not the one that works on hotplug and panics, as a mask.
const SLOW_CPU: &str = "2";
/// Reading it fails with EBUSY while the lock is held (`crash_get_memory_size`,
/// kernel/crash_core.c).
const CRASH_SIZE: &str = "/sys/kernel/kexec_crash_size";
/// What the kernel says when it drops an event (`crash_handle_hotplug_event`, the same file).
const DROPPED: &str = "crash hp: kexec_trylock() failed";
/// The kernel's own update, and the steps of it that are functions (arch/x86/kernel/crash.c,
/// machine_kexec_64.c).
const STEPS: [(&str, &str); 4] = [
    ("update", UPDATE_FUNCTION),
    ("unprotect", "arch_kexec_unprotect_crashkres"),
    ("rewrite", "arch_crash_handle_hotplug_event"),
    ("protect", "arch_kexec_protect_crashkres"),
];
/// Sums up the milliseconds of each step.
const SUMS: &str = r#"awk '{ sub(":", "", $4); step = $5; sub("(_end)?:", "", step) }
    $5 ~ /_end:$/ { ms[step] += ($4 - began[step]) * 1e3; next }
    { began[step] = $4 }
    END { for (step in ms) printf "%s %.2f ms\n", step, ms[step] }' "#;

const TRACING: &str = "/sys/kernel/tracing";
/// Blocks of memory that come while the steps are measured.
const DIMMS: u32 = 8;

table! {
    "kernel-update-steps", [Storm, CrashHotplug, Hotplug], update_steps,
        "measures the steps of the kernel's own update, during which it holds its kexec lock",
        lab: NotOurs("a measurement of the kernel");
    "kernel-lock-held", [Makedumpfile, Kexec, CrashHotplug, Hotplug], lock_held,
        "while another kexec_load holds the kernel's lock, memory that comes is dropped from the \
         armed image until a reload, and a panic leaves no dump",
        lab: NotOurs("a fault of the kernel's");
}

fn update_steps(stage: &mut Stage<'_>) -> Result<(), Error> {
    let setup = Setup { dimms: DIMMS, dimm_size: BLOCK_MIB << 20, ..Setup::default() };
    let mut first = stage.boot(&setup)?;
    first.arm("")?;
    first.vm.run_ok(&format!("mount -t tracefs tracefs {TRACING}"))?;
    for (step, function) in STEPS {
        first.vm.run_ok(&format!(
            "echo 'p:{step} {function}' >>{TRACING}/kprobe_events; \
             echo 'r:{step}_end {function}' >>{TRACING}/kprobe_events"
        ))?;
    }
    first.vm.run_ok(&format!("echo 1 >{TRACING}/events/kprobes/enable"))?;
    for number in 0..DIMMS {
        first.vm.monitor.add_dimm(number)?;
    }
    let sums = first.vm.run_ok(&format!("grep -v '^#' {TRACING}/trace | {SUMS}"))?;
    for (step, function) in STEPS {
        let line = sums.lines().find(|line| line.starts_with(&format!("{step} ")));
        let line = line.ok_or_else(|| Error::unreadable("the sum of a step", &sums))?;
        first.stage.outcome.fact(format!("{DIMMS} events, {function}"), line);
    }
    first.expect_all_memory_listed("after them")?;
    first.switch_off();
    Ok(())
}

fn lock_held(stage: &mut Stage<'_>) -> Result<(), Error> {
    let setup = Setup { peer: true, dimms: 1, dimm_size: BLOCK_MIB << 20, ..Setup::default() };
    let mut first = stage.boot(&setup)?;
    configure(&mut first, guest::INITRD)?;
    expect_reload(&mut first, &["not_armed"])?;

    hold_lock(&mut first)?;
    let before = first.iomem()?;
    first.vm.monitor.add_dimm(0)?;
    let added = first.iomem()?.added_since(&before);
    check!(added.len() == 1, "memory gained by a DIMM: one range, not {added:x?}")?;
    expect_lock(&mut first, true)?;
    let said = first.vm.run_ok(&format!("dmesg | grep -F '{DROPPED}'"))?;
    first.note(format!("the kernel: {said}"));
    first.expect_armed(true, "while the lock is held")?;
    release_lock(&mut first)?;
    check!(!first.lists(&added[0])?, "the elfcorehdr: expected no entry of the DIMM")?;
    first.note("the elfcorehdr lacks the DIMM, and no update follows");
    let status = first.status(0)?.to_string();
    expect_words("status", &status, &["memory_missing"])?;
    expect_reload(&mut first, &["memory_came"])?;
    first.expect_all_memory_listed("after the reload")?;

    hold_lock(&mut first)?;
    first.expect_armed(true, "just before the panic")?;
    let mut crashed = first.panic(Some(0))?;
    crashed.await_words("the panic ends without a capture kernel", END_OF_PANIC)
}

/// Starts a load of an ordinary kernel, and slows it down once it is in the system call.
fn hold_lock(first: &mut First<'_, '_>) -> Result<(), Error> {
    let kexec = first.stage.context.kexec()?.program.clone();
    let load = kexec_command(&kexec, CAPTURE_APPEND).replace(" -p ", " -l ");
    first.vm.run_ok(&format!(
        "taskset {SLOW_CPU} sh -c 'kill -STOP $$; while :; do :; done' & loop=$!; \
         taskset {SLOW_CPU} {load} >/tmp/slow.log 2>&1 & slow=$!; renice -n 19 -p $slow; \
         while kill -0 $slow && read size <{CRASH_SIZE}; do :; done 2>/dev/null; \
         kill -CONT $loop; echo loop=$loop slow=$slow >/tmp/slow.pids; cat /tmp/slow.log"
    ))?;
    expect_lock(first, true)?;
    first.note("a kexec_load of an ordinary kernel holds the kernel's lock");
    Ok(())
}

fn expect_lock(first: &mut First<'_, '_>, held: bool) -> Result<(), Error> {
    let busy = first.vm.run(&format!("cat {CRASH_SIZE}"))?.status != 0;
    check!(busy == held, "whether the kernel's lock is held: expected {held}, found {busy}")
}

/// Lets the slow load end.
fn release_lock(first: &mut First<'_, '_>) -> Result<(), Error> {
    first.vm.run_ok(
        ". /tmp/slow.pids; kill -9 $loop; while kill -0 $slow 2>/dev/null; do usleep 20000; done",
    )?;
    expect_lock(first, false)?;
    first.note("the load has ended");
    Ok(())
}
