//! `commands`: what the loader's other commands report of a live machine.

use serde_json::{Value, json};

use crate::error::{Error, check_eq};
use crate::scenario::table;
use crate::stage::{CAPTURE_APPEND, Setup, Stage, guest, json};

table! {
    "commands", [Makedumpfile, CrashHotplug], commands,
        "snapshot and plan predict what load does, status reports it, and unload undoes it";
}

fn commands(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut first = stage.boot(&Setup::default())?;
    let loader = guest::LOADER;
    let snapshot = "snapshot /tmp/snapshot && chmod -R a+rX /tmp/snapshot";
    first.vm.run_ok(&format!("{loader} {snapshot}"))?;
    let (kernel, initrd) = (guest::KERNEL, guest::INITRD);
    let options = format!("--kernel {kernel} --initrd {initrd} --append '{CAPTURE_APPEND}'");
    // As an unprivileged user: a snapshot is enough.
    let plan = first.vm.run_ok(&format!(
        "su nobody -s /bin/sh -c \
         \"{loader} plan {options} --snapshot /tmp/snapshot --json 2>/dev/null\""
    ))?;
    first.expect_armed(false, "after `plan`")?;
    check_eq!(first.status(1)?["loaded"], false, "`loaded` in status before `load`")?;

    let armed = first.arm("")?;
    let loaded = serde_json::to_value(&armed.loaded.image.segments).expect("numbers and names");
    let planned: Value = json(&plan)?;
    check_eq!(planned["segments"], loaded, "segments that `plan` predicted")?;
    first.note("`plan` had predicted the segments");

    let region = first.crash_region()?;
    let told = first.status(0)?;
    for (name, expected) in [
        ("answer", json!("yes")),
        ("loaded", json!(true)),
        ("identity", json!(armed.image.identity)),
        ("crash_size", json!(region.end - region.start)),
        ("crash_hotplug_cpu", json!(true)),
        ("crash_hotplug_memory", json!(true)),
    ] {
        check_eq!(told[name], expected, "`{name}` in status")?;
    }
    first.vm.run_ok(&format!(
        "{loader} status --strict --prometheus /tmp/kdump.prom >/dev/null 2>&1 && \
         grep -x 'kdump_loader_dump_expected 1' /tmp/kdump.prom"
    ))?;
    first.note("`status` knows the image");

    first.vm.run_ok(&format!("{loader} unload"))?;
    first.expect_armed(false, "after `unload`")?;
    check_eq!(first.status(1)?["loaded"], false, "`loaded` in status after `unload`")?;
    first.note("`unload` has disarmed it");
    first.switch_off();
    Ok(())
}
