//! `reload-*`: what is armed stays true while the machine changes, and there is never nothing armed.

use handoff::Verdict;
use serde_json::Value;

use crate::error::{Error, check, check_eq};
use crate::first::{CAPTURE_APPEND, First, RESET_DELAY_S};
use crate::machine::DIMM_SIZE;
use crate::scenario::{Need, Scenario};
use crate::scenarios::commands::{json, status};
use crate::scenarios::complete::MEMORY_BLOCK;
use crate::stage::{Setup, Stage, guest};

/// Where a service has it.
const CONFIG: &str = "/etc/kdump-loader.toml";
/// When a reload is killed, in milliseconds after its start. Emulated, one takes about 700.
const KILLED_AFTER_MS: [u32; 7] = [10, 100, 250, 400, 500, 600, 750];

pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "reload",
            summary: "reload arms what is not armed, leaves alone what is true, keeps the old image if the new one is bad, and drops a \
                      removed DIMM from the elfcorehdr; watch tells it",
            needs: &[Need::Makedumpfile],
            may_be_skipped: false,
            story: reload,
        },
        Scenario {
            name: "reload-old-kernel",
            summary: "on a kernel without hotplug support, the eight blocks of a DIMM are one reload in place, and the DIMM is in the dump",
            needs: &[Need::Makedumpfile, Need::Kernel("6.1")],
            may_be_skipped: false,
            story: old_kernel,
        },
        Scenario {
            name: "reload-killed",
            summary: "a reload that is killed, or finds /run full, leaves an image armed that gives a dump",
            needs: &[Need::Makedumpfile],
            may_be_skipped: false,
            story: killed,
        },
    ]
}

fn reload(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut first = stage.boot(&Setup { dimms: 1, ..Setup::default() })?;
    configure(&mut first, guest::INITRD)?;
    // A reader that has seen enough ends it; an interrupt does, too.
    first.vm.run_ok(&format!("{} watch | head -n 1 | grep 'nothing armed'", guest::LOADER))?;
    first.vm.run_ok(&format!("{} watch --json >/tmp/watch 2>&1 & echo $! >/tmp/watch.pid", guest::LOADER))?;
    first.vm.run_ok("while ! [ -s /tmp/watch ]; do usleep 20000; done")?;
    expect_reload(&mut first, "", &["not_armed"])?;
    let image = first.image()?;
    expect_reload(&mut first, "", &[])?;
    check_eq("answer of `status`", &status(&mut first, 0)?["answer"], &Value::from("yes"))?;

    let dimm = first.add_dimm(0)?;
    expect_reload(&mut first, "", &[])?;
    check_eq("identity after a DIMM that the kernel has added itself", &first.image()?.identity, &image.identity)?;

    // A bad initrd: nothing but the config changes until it is replaced.
    first.vm.run_ok(": >/tmp/empty")?;
    configure(&mut first, "/tmp/empty")?;
    let refused = first.loader("reload")?;
    check_eq(format!("exit status of a reload with a bad initrd, which said {:?}", refused.text), &refused.status, &1)?;
    let both = refused.text.contains("still armed") && refused.text.contains("/tmp/empty");
    check(both, "what it said", "that the old image is still armed, and why", &refused.text)?;
    check_eq("kexec_crash_loaded after a failed reload", &first.crash_loaded()?, &true)?;
    check_eq("identity after a failed reload", &first.image()?.identity, &image.identity)?;
    let told = status(&mut first, 0)?;
    check(
        codes(&told).contains(&"reload_failed"),
        "findings after a failed reload",
        "reload_failed",
        told["findings"].to_string(),
    )?;
    configure(&mut first, guest::INITRD)?;
    expect_reload(&mut first, "", &[])?;

    // What the kernel leaves behind when memory goes.
    let block = dimm.start / MEMORY_BLOCK;
    let waiting = format!("while [ -e /sys/devices/system/memory/memory{block} ]; do usleep 20000; done");
    first.vm.monitor.ask_for_dimm(0)?;
    first.vm.run_ok(&waiting)?;
    first.note("the first block of DIMM 0 is gone");
    first.vm.run_ok(&format!("{} reload --queue --removed memory{block}", guest::LOADER))?;
    check_eq("/run/kdump-loader/pending", &first.vm.run("[ -e /run/kdump-loader/pending ]")?.status, &0)?;
    let lists_it = |first: &mut First<'_, '_>| -> Result<bool, Error> {
        let image = first.image()?;
        Ok(first.elfcorehdr(&image)?.memory().iter().any(|range| range.start < dimm.end && dimm.start < range.end))
    };
    check_eq("whether the elfcorehdr lists the removed DIMM before a reload", &lists_it(&mut first)?, &true)?;
    expect_reload(&mut first, "", &["memory_left"])?;
    check_eq("whether it does after it", &lists_it(&mut first)?, &false)?;
    let image = first.image()?;
    let (listed, dumped) = (first.elfcorehdr(&image)?.memory(), first.iomem()?.dumped());
    check(listed == dumped, "memory in the elfcorehdr", format!("{dumped:x?}"), format!("{listed:x?}"))?;
    check_eq("/run/kdump-loader/pending", &first.vm.run("[ -e /run/kdump-loader/pending ]")?.status, &1)?;
    check_eq("answer of `status`", &status(&mut first, 0)?["answer"], &Value::from("yes"))?;

    first.vm.run_ok("kill -INT $(cat /tmp/watch.pid); while [ -e /proc/$(cat /tmp/watch.pid) ]; do usleep 20000; done")?;
    let watched = first.vm.run_ok("cat /tmp/watch")?;
    let events: Vec<Value> = watched.lines().map(json).collect::<Result<_, _>>()?;
    let told: Vec<&str> = events.iter().filter_map(|event| event["event"].as_str()).collect();
    let block = Value::from(format!("memory{block}"));
    let blocks: Vec<&Value> = events.iter().filter(|event| event["device"] == block).map(|event| &event["action"]).collect();
    check(
        told.starts_with(&["disarmed", "armed", "crash_hotplug"]),
        "the first that `watch` told",
        "that it was armed",
        &watched,
    )?;
    check(blocks == ["add", "online", "offline", "remove"], "what `watch` told of a block of the DIMM", "its life", &watched)?;
    check_eq("how often `watch` saw the image change", &told.iter().filter(|event| event.ends_with("armed")).count(), &2)?;
    first.note("`watch` has told it all");

    // A kernel that allows kexec_load(2) no longer: the image stays, and says what is wrong.
    first.vm.run_ok("echo 1 >/proc/sys/kernel/kexec_load_disabled")?;
    let refused = first.loader("reload --force")?;
    let both = refused.status == 1 && refused.text.contains("still armed");
    check(both, "a reload where loading is switched off", "1, and that the old image is still armed", format!("{refused:?}"))?;
    check_eq("kexec_crash_loaded after it", &first.crash_loaded()?, &true)?;
    first.switch_off();
    Ok(())
}

fn old_kernel(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut first = stage.boot(&Setup { series: Some("6.1"), dimms: 1, ..Setup::default() })?;
    configure(&mut first, guest::INITRD)?;
    expect_reload(&mut first, "", &["not_armed"])?;
    let before = first.image()?;
    let at_load = first.elfcorehdr(&before)?;
    let dimm = first.add_dimm(0)?;
    check_eq("answer of `status`", &status(&mut first, 0)?["answer"], &Value::from("yes_but"))?;
    // As udev does it, once for each block.
    let blocks = DIMM_SIZE / MEMORY_BLOCK;
    first.vm.run_ok(&format!("for block in $(seq {blocks}); do {} reload --queue || exit; done", guest::LOADER))?;
    expect_reload(&mut first, "", &["memory_came"])?;
    let after = first.image()?;
    check(after.identity != before.identity, "identity after a DIMM", "another one", "the same")?;
    expect_reload(&mut first, "", &[])?;

    first.place_sentinel(1, &dimm)?;
    let mut capture = first.panic(None)?.capture()?;
    capture.expect_verdict(Verdict::Ok)?;
    let core = capture.check_vmcore()?;
    check_eq("bytes of memory in the vmcore", &core.load_bytes(), &(at_load.load_bytes() + DIMM_SIZE))?;
    Ok(())
}

fn killed(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut first = stage.boot(&Setup::default())?;
    configure(&mut first, guest::INITRD)?;
    expect_reload(&mut first, "", &["not_armed"])?;
    for after in KILLED_AFTER_MS {
        // An event, so that there is something to be lost.
        let killed = format!(
            "{0} reload --queue && {{ {0} reload --force >/dev/null 2>&1 & usleep {1}; kill -9 $!; wait $!; true; }}",
            guest::LOADER,
            after * 1000
        );
        first.vm.run_ok(&killed)?;
        check_eq(format!("kexec_crash_loaded after a kill at {after} ms"), &first.crash_loaded()?, &true)?;
        first.image()?;
        status(&mut first, 0)?;
        first.note(format!("reload killed after {after} ms: still armed"));
    }
    let told = first.vm.run_ok(&format!("{} reload --json 2>/dev/null && ls /run/kdump-loader", guest::LOADER))?;
    check(
        !told.contains("pending") && !told.contains("failed"),
        "/run/kdump-loader after a reload",
        "no event, no failure",
        &told,
    )?;
    check_eq("answer of `status`", &status(&mut first, 0)?["answer"], &Value::from("yes"))?;

    // No room for a file, a directory, or a byte in one.
    first.vm.run_ok("mount -t tmpfs -o size=4k,nr_inodes=1 none /run")?;
    let full = first.loader("reload --force")?;
    check_eq(format!("exit status with /run full, which said {:?}", full.text), &full.status, &0)?;
    check_eq("kexec_crash_loaded with /run full", &first.crash_loaded()?, &true)?;
    first.note("armed with /run full");

    first.place_sentinel(1, &(0..u64::MAX))?;
    let mut capture = first.panic(None)?.capture()?;
    capture.expect_verdict(Verdict::Ok)?;
    capture.check_vmcore()?;
    Ok(())
}

/// Writes the config.
fn configure(first: &mut First<'_, '_>, initrd: &str) -> Result<(), Error> {
    let kernel = guest::KERNEL;
    let text = format!("kernel = '{kernel}'\ninitrd = '{initrd}'\nappend = '{CAPTURE_APPEND}'\nreset_delay = {RESET_DELAY_S}");
    first.vm.run_ok(&format!("cat >{CONFIG} <<'END'\n{text}\nEND\n")).map(drop)
}

/// Runs `reload`, which must succeed, for exactly these reasons; without any, it must not have armed.
fn expect_reload(first: &mut First<'_, '_>, options: &str, expected: &[&str]) -> Result<(), Error> {
    let told = first
        .vm
        .run_ok(&format!("{} reload {options} --json 2>/tmp/reload.err || {{ cat /tmp/reload.err; false; }}", guest::LOADER))?;
    let told = json(&told)?;
    let reasons = told["reasons"].as_array().map_or(&[][..], Vec::as_slice);
    let mut names: Vec<&str> = reasons.iter().filter_map(|reason| reason["reason"].as_str()).collect();
    names.dedup();
    check(names == expected, "reasons of `reload`", format!("{expected:?}"), told.to_string())?;
    check_eq("how often `reload` has armed", &told["armed"], &Value::from(u32::from(!expected.is_empty())))?;
    check_eq("kexec_crash_loaded after `reload`", &first.crash_loaded()?, &true)?;
    first.note(if expected.is_empty() { "reload: still true".to_owned() } else { format!("reload: armed, because {names:?}") });
    Ok(())
}

/// The codes of the findings.
fn codes(status: &Value) -> Vec<&str> {
    let findings = status["findings"].as_array().map_or(&[][..], Vec::as_slice);
    findings.iter().filter_map(|finding| finding["code"].as_str()).collect()
}
