//! `reload-*`: the image stays up to date while the machine changes, and one is always armed.

use serde_json::Value;

use crate::error::{Error, check, check_eq, expect_words};
use crate::evidence::elfcore::{ElfCore, HEADER_LEN};
use crate::machine::DIMM_SIZE;
use crate::scenario::table;
use crate::stage::MEMORY_BLOCK;
use crate::stage::{CAPTURE_APPEND, First, RESET_DELAY_S, Setup, Stage, guest, json, load_command};

pub(in crate::scenarios) const CONFIG: &str = "/etc/kdump-loader.toml";
/// There if an event waits for a reload.
const PENDING: &str = "[ -e /run/kdump-loader/pending ]";
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
    let loader = guest::LOADER;
    configure(&mut first, guest::INITRD)?;
    // A reader that has seen enough ends it; an interrupt does as well.
    first.vm.run_ok(&format!("{loader} watch | head -n 1 | grep 'nothing armed'"))?;
    first
        .vm
        .run_ok(&format!("{loader} watch --json >/tmp/watch 2>&1 & echo $! >/tmp/watch.pid"))?;
    first.vm.run_ok("while ! [ -s /tmp/watch ]; do usleep 20000; done")?;
    expect_reload(&mut first, &["not_armed"])?;
    let identity = first.image()?.identity;
    expect_reload(&mut first, &[])?;
    expect_yes(&mut first)?;

    let dimm = first.add_dimm(0)?;
    expect_reload(&mut first, &[])?;
    check_eq!(first.image()?.identity, identity, "identity after a DIMM came")?;

    // Another service arms over ours, an image that does not stay current, and leaves our record as
    // it is.
    let other = format!("{} --no-hotplug >/dev/null 2>&1", load_command(CAPTURE_APPEND, ""));
    first.vm.run_ok(&format!(
        "cd /run/kdump-loader && cp -p armed.json /tmp && {other} && cp -p /tmp/armed.json ."
    ))?;
    let told = first.status(1)?;
    check_eq!(codes(&told), ["unknown_image"], "findings about another's image")?;
    expect_reload(&mut first, &["unknown"])?;
    let identity = first.image()?.identity;

    // A bad initrd: nothing but the config changes until it is replaced.
    first.vm.run_ok(": >/tmp/empty")?;
    configure(&mut first, "/tmp/empty")?;
    expect_refused(&mut first, "reload", &["/tmp/empty"])?;
    check_eq!(first.image()?.identity, identity, "identity after a failed reload")?;
    let told = first.status(0)?;
    let found = codes(&told);
    check!(found.contains(&"reload_failed"), "findings after a failed reload: {found:?}")?;
    configure(&mut first, guest::INITRD)?;
    expect_reload(&mut first, &[])?;

    // What the kernel leaves when memory is removed.
    let block = dimm.start / MEMORY_BLOCK;
    first.vm.monitor.ask_for_dimm(0)?;
    first.vm.run_ok(&format!(
        "while [ -e /sys/devices/system/memory/memory{block} ]; do usleep 20000; done"
    ))?;
    first.note("the first block of DIMM 0 is gone");
    first.vm.run_ok(&format!("{loader} reload --queue --removed memory{block} && {PENDING}"))?;
    check!(first.lists(&dimm)?, "the elfcorehdr must list the removed DIMM until the reload")?;
    expect_reload(&mut first, &["memory_left"])?;
    check!(!first.lists(&dimm)?, "the elfcorehdr must not list it after the reload")?;
    first.expect_all_memory_listed("after the reload")?;
    first.vm.run_to(1, PENDING)?;
    expect_yes(&mut first)?;
    expect_watched(&mut first, &format!("memory{block}"))?;

    // By the kernel's own loader, whose elfcorehdr the loader must find again.
    first.vm.run_ok(&format!(
        "sed -i '/^reset_delay/d' {CONFIG} && echo 'file = \"always\"' >>{CONFIG}"
    ))?;
    expect_reload(&mut first, &["call_changed", "option_changed"])?;
    expect_reload(&mut first, &[])?;
    check_eq!(codes(&first.status(0)?), ["kernels_purgatory"], "findings")?;
    let region = first.crash_region()?;
    let listed = ElfCore::parse(&first.vm.ram.read(region.start, HEADER_LEN)?)?.memory();
    let dumped = first.iomem()?.dumped();
    check!(
        listed == dumped,
        "memory in the kernel's elfcorehdr: expected {dumped:x?}, found {listed:x?}"
    )?;

    // Under lockdown, "auto" leaves it alone, and takes the same way for the next; a machine
    // without UEFI has no key that vouches for its kernel.
    first.vm.run_ok(&format!(
        "sed -i 's/always/auto/' {CONFIG}; echo integrity >/sys/kernel/security/lockdown"
    ))?;
    expect_reload(&mut first, &[])?;
    let words = ["locked down", "trying kexec_file_load", "signed with a key"];
    expect_refused(&mut first, "reload --force", &words)?;
    first.vm.run_ok("echo 1 >/proc/sys/kernel/kexec_load_disabled")?;
    expect_refused(&mut first, "reload --force", &["kexec_load_disabled"])?;
    first.switch_off();
    Ok(())
}

/// Ends `watch`, which must have reported every change of the image, and the life of a block of the
/// DIMM.
fn expect_watched(first: &mut First<'_, '_>, block: &str) -> Result<(), Error> {
    first.vm.run_ok(
        "kill -INT $(cat /tmp/watch.pid); \
         while [ -e /proc/$(cat /tmp/watch.pid) ]; do usleep 20000; done",
    )?;
    let watched = first.vm.run_ok("cat /tmp/watch")?;
    let events: Vec<Value> = watched.lines().map(json).collect::<Result<_, _>>()?;
    let told: Vec<&str> = events.iter().filter_map(|event| event["event"].as_str()).collect();
    check!(
        told.starts_with(&["disarmed", "armed", "crash_hotplug"]),
        "the first that `watch` reported: expected that it was armed, found {watched}"
    )?;
    let of_block = events.iter().filter(|event| event["device"] == block);
    let actions: Vec<&Value> = of_block.map(|event| &event["action"]).collect();
    check!(
        actions == ["add", "online", "offline", "remove"],
        "what `watch` reported of {block}: expected its life, found {watched}"
    )?;
    // The kernel frees the old image before it has the new one, in the same system call; a look may
    // fall in between.
    let last = told.iter().rfind(|event| event.ends_with("armed"));
    check_eq!(last, Some(&"armed"), "the last that `watch` reported of the image")?;
    first.note("`watch` has reported every change");
    Ok(())
}

fn old_kernel(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut first =
        stage.boot(&Setup { series: Some("6.1"), dimms: 1, spare_cpus: 1, ..Setup::default() })?;
    configure(&mut first, guest::INITRD)?;
    expect_reload(&mut first, &["not_armed"])?;
    let before = first.image()?;
    let at_load = first.elfcorehdr(&before)?.load_bytes();
    let dimm = first.add_dimm(0)?;
    first.add_cpu()?;
    check_eq!(codes(&first.status(0)?), ["memory_missing", "cpu_missing"], "findings")?;
    // As udev does it, once for each block, and for the CPU.
    let blocks = DIMM_SIZE / MEMORY_BLOCK + 1;
    let queue = format!("{} reload --queue", guest::LOADER);
    first.vm.run_ok(&format!("for block in $(seq {blocks}); do {queue} || exit; done"))?;
    expect_reload(&mut first, &["memory_came", "cpu_came"])?;
    check!(first.image()?.identity != before.identity, "identity: expected another after a DIMM")?;
    expect_reload(&mut first, &[])?;

    first.place_sentinel_in(1, &dimm)?;
    let core = first.panic(None)?.capture()?.expect_dump()?;
    check_eq!(core.load_bytes(), at_load + DIMM_SIZE, "bytes of memory in the vmcore")
}

fn killed(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut first = stage.boot(&Setup::default())?;
    let loader = guest::LOADER;
    configure(&mut first, guest::INITRD)?;
    expect_reload(&mut first, &["not_armed"])?;
    for after in KILLED_AFTER_MS {
        // An event, so that there is something to be lost.
        first.vm.run_ok(&format!(
            "{loader} reload --queue && {{ {loader} reload --force >/dev/null 2>&1 & \
             usleep {}; kill -9 $!; wait $!; true; }}",
            after * 1000
        ))?;
        first.expect_armed(true, &format!("after a kill at {after} ms"))?;
        first.image()?;
        // While the kernel exchanges the images, no record says which one is armed. A kill in that
        // window leaves none until the next reload, and `status` must then not answer "yes".
        let told = first.vm.run(&format!("{loader} status --json 2>/dev/null"))?;
        let status: Value = json(&told.text)?;
        let unrecorded = codes(&status) == ["unknown_image", "reload_interrupted"];
        check_eq!(told.status, i32::from(unrecorded), "exit status of `status`: {status}")?;
        first.note(format!("reload killed after {after} ms: still armed"));
    }
    let clean = format!("{loader} reload --json 2>/dev/null && ls /run/kdump-loader");
    let told = first.vm.run_ok(&clean)?;
    check!(
        !told.contains("pending") && !told.contains("failed"),
        "/run/kdump-loader after a reload: expected no event, no failure, found {told}"
    )?;
    expect_yes(&mut first)?;

    // No room for a file, a directory, or a byte in one.
    first.vm.run_ok("mount -t tmpfs -o size=4k,nr_inodes=1 none /run")?;
    first.vm.run_ok(&format!("{loader} reload --force"))?;
    first.expect_armed(true, "with /run full")?;
    first.note("armed with /run full");

    first.place_sentinel(1)?;
    first.panic(None)?.capture()?.expect_dump().map(drop)
}

pub(in crate::scenarios) fn configure(
    first: &mut First<'_, '_>,
    initrd: &str,
) -> Result<(), Error> {
    configure_files(first, guest::KERNEL, initrd)
}

/// Writes a config that names these files.
pub(in crate::scenarios) fn configure_files(
    first: &mut First<'_, '_>,
    kernel: &str,
    initrd: &str,
) -> Result<(), Error> {
    let text = format!(
        "kernel = '{kernel}'\ninitrd = '{initrd}'\nappend = '{CAPTURE_APPEND}'\n\
         reset_delay = {RESET_DELAY_S}"
    );
    first.vm.run_ok(&format!("cat >{CONFIG} <<'END'\n{text}\nEND\n")).map(drop)
}

/// Runs `reload`, which must succeed, for exactly these reasons; without any, it must not have
/// armed.
pub(in crate::scenarios) fn expect_reload(
    first: &mut First<'_, '_>,
    expected: &[&str],
) -> Result<(), Error> {
    let told: Value = json(&first.vm.run_ok(&format!(
        "{} reload --json 2>/tmp/reload.err || {{ cat /tmp/reload.err; false; }}",
        guest::LOADER
    ))?)?;
    let mut reasons = words(&told["reasons"], "reason");
    reasons.dedup();
    check!(reasons == expected, "reasons of `reload`: expected {expected:?}, found {told}")?;
    check_eq!(told["armed"], u32::from(!expected.is_empty()), "how often `reload` has armed")?;
    first.expect_armed(true, "after `reload`")?;
    first.note(format!("reload: armed for the reasons {reasons:?}"));
    Ok(())
}

/// Runs the loader, which must fail in these words, and the image that was armed before must still
/// be.
pub(in crate::scenarios) fn expect_refused(
    first: &mut First<'_, '_>,
    arguments: &str,
    words: &[&str],
) -> Result<(), Error> {
    let said = first.vm.run_to(1, &format!("{} {arguments}", guest::LOADER))?;
    expect_words(arguments, &said, &[words, &["still armed"]].concat())?;
    first.expect_armed(true, &format!("after a failed `{arguments}`"))?;
    first.note(format!("`{arguments}` is refused: still armed"));
    Ok(())
}

/// A panic would leave a dump, says `status`.
pub(in crate::scenarios) fn expect_yes(first: &mut First<'_, '_>) -> Result<(), Error> {
    check_eq!(first.status(0)?["answer"], "yes", "answer of `status`")
}

/// The codes of all findings.
pub(in crate::scenarios) fn codes(status: &Value) -> Vec<&str> {
    words(&status["findings"], "code")
}

/// One member of every object in a list.
fn words<'a>(list: &'a Value, name: &str) -> Vec<&'a str> {
    list.as_array().into_iter().flatten().filter_map(|item| item[name].as_str()).collect()
}
