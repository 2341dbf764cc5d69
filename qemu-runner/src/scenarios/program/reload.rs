//! `reload-*`: the image stays up to date while the machine changes, and one is always armed.

use serde_json::Value;

use crate::error::{Error, check, check_eq};
use crate::evidence::elfcore::{ElfCore, HEADER_LEN};
use crate::machine::DIMM_SIZE;
use crate::scenario::table;
use crate::scenarios::capture::complete::MEMORY_BLOCK;
use crate::scenarios::program::commands::{json, status};
use crate::stage::first::{CAPTURE_APPEND, First, RESET_DELAY_S, load_command};
use crate::stage::{Setup, Stage, guest};

const CONFIG: &str = "/etc/kdump-loader.toml";
/// When a reload is killed, in milliseconds after its start. Emulated, one takes about 700.
const KILLED_AFTER_MS: [u32; 7] = [10, 100, 250, 400, 500, 600, 750];

table! {
    "reload", [Makedumpfile, CrashHotplug, Hotplug, KexecFile, Lockdown], reload,
        "reload arms if nothing is armed, skips an image that is up to date, keeps the old image \
         if the new one is bad, and drops a removed DIMM; watch reports it";
    "reload-old-kernel", [Makedumpfile, Kernel("6.1"), NoCrashHotplug, Hotplug], old_kernel,
        "without hotplug support, a CPU and the eight blocks of a DIMM cost one reload in place, \
         and both are in the dump";
    "reload-killed", [Makedumpfile], killed,
        "if a reload is killed or finds /run full, an image stays armed that leaves a dump";
}

fn reload(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut first = stage.boot(&Setup { dimms: 1, ..Setup::default() })?;
    configure(&mut first, guest::INITRD)?;
    // A reader that has seen enough ends it; an interrupt does as well.
    first.vm.run_ok(&format!("{} watch | head -n 1 | grep 'nothing armed'", guest::LOADER))?;
    first.vm.run_ok(&format!(
        "{} watch --json >/tmp/watch 2>&1 & echo $! >/tmp/watch.pid",
        guest::LOADER
    ))?;
    first.vm.run_ok("while ! [ -s /tmp/watch ]; do usleep 20000; done")?;
    expect_reload(&mut first, "", &["not_armed"])?;
    let image = first.image()?;
    expect_reload(&mut first, "", &[])?;
    check_eq!(status(&mut first, 0)?["answer"], Value::from("yes"), "answer of `status`")?;

    let dimm = first.add_dimm(0)?;
    expect_reload(&mut first, "", &[])?;
    check_eq!(
        first.image()?.identity,
        image.identity,
        "identity after a DIMM that the kernel has added itself"
    )?;

    // Another service arms over ours, an image that does not stay current, and leaves our record as
    // it is.
    let other = format!("{} --no-hotplug >/dev/null 2>&1", load_command(CAPTURE_APPEND, ""));
    first.vm.run_ok(&format!(
        "cd /run/kdump-loader && cp -p armed.json /tmp && {other} && cp -p /tmp/armed.json ."
    ))?;
    let told = status(&mut first, 1)?;
    check!(
        codes(&told) == ["unknown_image"],
        "findings about another's image: expected unknown_image, found {}",
        told["findings"]
    )?;
    expect_reload(&mut first, "", &["unknown"])?;
    let image = first.image()?;

    // A bad initrd: nothing but the config changes until it is replaced.
    first.vm.run_ok(": >/tmp/empty")?;
    configure(&mut first, "/tmp/empty")?;
    let refused = first.loader("reload")?;
    check_eq!(
        refused.status,
        1,
        "exit status of a reload with a bad initrd, which said {:?}",
        refused.text
    )?;
    let both = refused.text.contains("still armed") && refused.text.contains("/tmp/empty");
    check!(
        both,
        "what it said: expected that the old image is still armed, and why, found {}",
        refused.text
    )?;
    check_eq!(first.crash_loaded()?, true, "kexec_crash_loaded after a failed reload")?;
    check_eq!(first.image()?.identity, image.identity, "identity after a failed reload")?;
    let told = status(&mut first, 0)?;
    check!(
        codes(&told).contains(&"reload_failed"),
        "findings after a failed reload: expected reload_failed, found {}",
        told["findings"]
    )?;
    configure(&mut first, guest::INITRD)?;
    expect_reload(&mut first, "", &[])?;

    // What the kernel leaves when memory is removed.
    let block = dimm.start / MEMORY_BLOCK;
    let waiting =
        format!("while [ -e /sys/devices/system/memory/memory{block} ]; do usleep 20000; done");
    first.vm.monitor.ask_for_dimm(0)?;
    first.vm.run_ok(&waiting)?;
    first.note("the first block of DIMM 0 is gone");
    first.vm.run_ok(&format!("{} reload --queue --removed memory{block}", guest::LOADER))?;
    check_eq!(
        first.vm.run("[ -e /run/kdump-loader/pending ]")?.status,
        0,
        "/run/kdump-loader/pending"
    )?;
    let lists_it = |first: &mut First<'_, '_>| -> Result<bool, Error> {
        let image = first.image()?;
        Ok(first
            .elfcorehdr(&image)?
            .memory()
            .iter()
            .any(|range| range.start < dimm.end && dimm.start < range.end))
    };
    check_eq!(
        lists_it(&mut first)?,
        true,
        "whether the elfcorehdr lists the removed DIMM before a reload"
    )?;
    expect_reload(&mut first, "", &["memory_left"])?;
    check_eq!(lists_it(&mut first)?, false, "whether it does after it")?;
    first.expect_all_memory_listed("after it")?;
    check_eq!(
        first.vm.run("[ -e /run/kdump-loader/pending ]")?.status,
        1,
        "/run/kdump-loader/pending"
    )?;
    check_eq!(status(&mut first, 0)?["answer"], Value::from("yes"), "answer of `status`")?;

    first.vm.run_ok(
        "kill -INT $(cat /tmp/watch.pid); while [ -e /proc/$(cat /tmp/watch.pid) ]; \
                     do usleep 20000; done",
    )?;
    let watched = first.vm.run_ok("cat /tmp/watch")?;
    let events: Vec<Value> = watched.lines().map(json).collect::<Result<_, _>>()?;
    let told: Vec<&str> = events.iter().filter_map(|event| event["event"].as_str()).collect();
    let block = Value::from(format!("memory{block}"));
    let blocks: Vec<&Value> = events
        .iter()
        .filter(|event| event["device"] == block)
        .map(|event| &event["action"])
        .collect();
    check!(
        told.starts_with(&["disarmed", "armed", "crash_hotplug"]),
        "the first that `watch` reported: expected that it was armed, found {watched}"
    )?;
    check!(
        blocks == ["add", "online", "offline", "remove"],
        "what `watch` reported of a block of the DIMM: expected its life, found {watched}"
    )?;
    // The kernel frees the old image before it has the new one, in the same system call; a look may
    // fall in between.
    let images: Vec<&&str> = told.iter().filter(|event| event.ends_with("armed")).collect();
    check!(
        images.last() == Some(&&"armed"),
        "the last that `watch` reported of the image: expected that it is armed, found {watched}"
    )?;
    first.note("`watch` has reported every change");

    // By the kernel's own loader, whose elfcorehdr the loader must find again.
    first.vm.run_ok(&format!(
        "sed -i '/^reset_delay/d' {CONFIG} && echo 'file = \"always\"' >>{CONFIG}"
    ))?;
    expect_reload(&mut first, "", &["call_changed", "option_changed"])?;
    expect_reload(&mut first, "", &[])?;
    let told = status(&mut first, 0)?;
    check!(
        codes(&told) == ["kernels_purgatory"],
        "findings: expected that it is the kernel's purgatory, found {}",
        told["findings"]
    )?;
    let region = first.crash_region()?;
    let core = ElfCore::parse(&first.vm.ram.read(region.start, HEADER_LEN)?)?;
    let dumped = first.iomem()?.dumped();
    check!(
        core.memory() == dumped,
        "memory in the kernel's elfcorehdr: expected {dumped:x?}, found {:x?}",
        core.memory()
    )?;

    // Under lockdown, "auto" leaves it alone, and takes the same way for the next; a machine
    // without UEFI has no key that vouches for its kernel.
    first.vm.run_ok(&format!(
        "sed -i 's/always/auto/' {CONFIG}; echo integrity >/sys/kernel/security/lockdown"
    ))?;
    expect_reload(&mut first, "", &[])?;
    expect_refused(
        &mut first,
        "under lockdown",
        &["locked down", "trying kexec_file_load", "signed with a key"],
    )?;
    first.vm.run_ok("echo 1 >/proc/sys/kernel/kexec_load_disabled")?;
    expect_refused(&mut first, "where loading is switched off", &["kexec_load_disabled"])?;
    first.switch_off();
    Ok(())
}

fn old_kernel(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut first =
        stage.boot(&Setup { series: Some("6.1"), dimms: 1, spare_cpus: 1, ..Setup::default() })?;
    configure(&mut first, guest::INITRD)?;
    expect_reload(&mut first, "", &["not_armed"])?;
    let before = first.image()?;
    let at_load = first.elfcorehdr(&before)?;
    let dimm = first.add_dimm(0)?;
    first.add_cpu()?;
    let told = status(&mut first, 0)?;
    check!(
        codes(&told) == ["memory_missing", "cpu_missing"],
        "findings: expected a DIMM and a CPU, found {}",
        told["findings"]
    )?;
    // As udev does it, once for each block, and for the CPU.
    let blocks = DIMM_SIZE / MEMORY_BLOCK + 1;
    first.vm.run_ok(&format!(
        "for block in $(seq {blocks}); do {} reload --queue || exit; done",
        guest::LOADER
    ))?;
    expect_reload(&mut first, "", &["memory_came", "cpu_came"])?;
    let after = first.image()?;
    check!(
        after.identity != before.identity,
        "identity after a DIMM: expected another one, found the same"
    )?;
    expect_reload(&mut first, "", &[])?;

    first.place_sentinel(1, &dimm)?;
    let mut capture = first.panic(None)?.capture()?;
    let core = capture.expect_dump()?;
    check_eq!(
        core.load_bytes(),
        at_load.load_bytes() + DIMM_SIZE,
        "bytes of memory in the vmcore"
    )?;
    Ok(())
}

fn killed(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut first = stage.boot(&Setup::default())?;
    configure(&mut first, guest::INITRD)?;
    expect_reload(&mut first, "", &["not_armed"])?;
    for after in KILLED_AFTER_MS {
        // An event, so that there is something to be lost.
        let killed = format!(
            "{0} reload --queue && {{ {0} reload --force >/dev/null 2>&1 & usleep {1}; kill -9 \
             $!; wait $!; true; }}",
            guest::LOADER,
            after * 1000
        );
        first.vm.run_ok(&killed)?;
        check_eq!(first.crash_loaded()?, true, "kexec_crash_loaded after a kill at {after} ms")?;
        first.image()?;
        // While the kernel exchanges the images, no record says which one is armed. A kill in that
        // window leaves none until the next reload, and `status` must then not answer "yes".
        let killed = first.vm.run(&format!("{} status --json 2>/dev/null", guest::LOADER))?;
        let unrecorded = codes(&json(&killed.text)?) == ["unknown_image", "reload_interrupted"];
        check_eq!(
            killed.status,
            i32::from(unrecorded),
            "exit status of `status`: {}",
            killed.text
        )?;
        first.note(format!("reload killed after {after} ms: still armed"));
    }
    let told = first
        .vm
        .run_ok(&format!("{} reload --json 2>/dev/null && ls /run/kdump-loader", guest::LOADER))?;
    check!(
        !told.contains("pending") && !told.contains("failed"),
        "/run/kdump-loader after a reload: expected no event, no failure, found {told}"
    )?;
    check_eq!(status(&mut first, 0)?["answer"], Value::from("yes"), "answer of `status`")?;

    // No room for a file, a directory, or a byte in one.
    first.vm.run_ok("mount -t tmpfs -o size=4k,nr_inodes=1 none /run")?;
    let full = first.loader("reload --force")?;
    check_eq!(full.status, 0, "exit status with /run full, which said {:?}", full.text)?;
    check_eq!(first.crash_loaded()?, true, "kexec_crash_loaded with /run full")?;
    first.note("armed with /run full");

    first.place_sentinel(1, &(0..u64::MAX))?;
    first.panic(None)?.capture()?.expect_dump().map(drop)
}

pub(in crate::scenarios) fn configure(
    first: &mut First<'_, '_>,
    initrd: &str,
) -> Result<(), Error> {
    let kernel = guest::KERNEL;
    let text = format!(
        "kernel = '{kernel}'\ninitrd = '{initrd}'\nappend = '{CAPTURE_APPEND}'\nreset_delay = \
         {RESET_DELAY_S}"
    );
    first.vm.run_ok(&format!("cat >{CONFIG} <<'END'\n{text}\nEND\n")).map(drop)
}

/// Runs `reload`, which must succeed, for exactly these reasons; without any, it must not have
/// armed.
pub(in crate::scenarios) fn expect_reload(
    first: &mut First<'_, '_>,
    options: &str,
    expected: &[&str],
) -> Result<(), Error> {
    let told = first.vm.run_ok(&format!(
        "{} reload {options} --json 2>/tmp/reload.err || {{ cat /tmp/reload.err; false; }}",
        guest::LOADER
    ))?;
    let told = json(&told)?;
    let reasons = told["reasons"].as_array().map_or(&[][..], Vec::as_slice);
    let mut names: Vec<&str> =
        reasons.iter().filter_map(|reason| reason["reason"].as_str()).collect();
    names.dedup();
    check!(names == expected, "reasons of `reload`: expected {expected:?}, found {told}")?;
    check_eq!(
        told["armed"],
        Value::from(u32::from(!expected.is_empty())),
        "how often `reload` has armed"
    )?;
    check_eq!(first.crash_loaded()?, true, "kexec_crash_loaded after `reload`")?;
    first.note(if expected.is_empty() {
        "reload: already up to date".to_owned()
    } else {
        format!("reload: armed, because {names:?}")
    });
    Ok(())
}

/// Runs `reload --force`, which must fail in these words, and the image that was armed before must
/// still be.
fn expect_refused(first: &mut First<'_, '_>, case: &str, words: &[&str]) -> Result<(), Error> {
    let refused = first.loader("reload --force")?;
    let said = refused.text.contains("still armed")
        && words.iter().all(|word| refused.text.contains(word));
    check!(
        refused.status == 1 && said,
        "a reload {case}: expected 1, still armed, {words:?}, found {refused:?}"
    )?;
    check_eq!(first.crash_loaded()?, true, "kexec_crash_loaded after a reload {case}")?;
    first.note(format!("a reload {case} is refused: still armed"));
    Ok(())
}

fn codes(status: &Value) -> Vec<&str> {
    let findings = status["findings"].as_array().map_or(&[][..], Vec::as_slice);
    findings.iter().filter_map(|finding| finding["code"].as_str()).collect()
}
