//! `commands`: what the loader's other commands report of a live machine.

use serde_json::Value;

use crate::error::{Error, check, check_eq};
use crate::scenario::table;
use crate::stage::first::{CAPTURE_APPEND, First};
use crate::stage::{Setup, Stage, guest};

table! {
    "commands", [Makedumpfile, CrashHotplug], commands,
        "snapshot and plan predict what load does, status reports it, and unload undoes it";
}

fn commands(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut first = stage.boot(&Setup::default())?;
    first.vm.run_ok(&format!(
        "{} snapshot /tmp/snapshot && chmod -R a+rX /tmp/snapshot",
        guest::LOADER
    ))?;
    let options = format!(
        "--kernel {} --initrd {} --append '{CAPTURE_APPEND}'",
        guest::KERNEL,
        guest::INITRD
    );
    // As an unprivileged user: a snapshot is enough.
    let plan = format!(
        "su nobody -s /bin/sh -c \"{} plan {options} --snapshot /tmp/snapshot --json 2>/dev/null\"",
        guest::LOADER
    );
    let plan = json(&first.vm.run_ok(&plan)?)?;
    check_eq!(first.crash_loaded()?, false, "kexec_crash_loaded after `plan`")?;
    check_eq!(
        status(&mut first, 1)?["loaded"],
        Value::Bool(false),
        "`loaded` in status before `load`"
    )?;

    let armed = first.arm("")?;
    let planned: Vec<_> = segments(&plan)?;
    let loaded: Vec<_> = armed
        .loaded
        .segments
        .iter()
        .map(|segment| (segment.name.clone(), segment.start, segment.len))
        .collect();
    check!(
        planned == loaded,
        "segments that `plan` predicted: expected {loaded:x?}, found {planned:x?}"
    )?;
    first.note("`plan` had predicted the segments");

    let told = status(&mut first, 0)?;
    check_eq!(told["answer"], Value::from("yes"), "`answer` in status")?;
    check_eq!(told["loaded"], Value::Bool(true), "`loaded` in status")?;
    check_eq!(told["identity"], Value::String(armed.image.identity), "`identity` in status")?;
    let region = first.crash_region()?;
    check_eq!(
        told["crash_size"],
        Value::from(region.end - region.start),
        "`crash_size` in status"
    )?;
    check_eq!(told["crash_hotplug_cpu"], Value::Bool(true), "`crash_hotplug_cpu` in status")?;
    check_eq!(told["crash_hotplug_memory"], Value::Bool(true), "`crash_hotplug_memory` in status")?;
    let strict =
        format!("{} status --strict --prometheus /tmp/kdump.prom >/dev/null 2>&1", guest::LOADER);
    first
        .vm
        .run_ok(&format!("{strict} && grep -x 'kdump_loader_dump_expected 1' /tmp/kdump.prom"))?;
    first.note("`status` knows the image");

    let unloaded = first.loader("unload")?;
    check_eq!(unloaded.status, 0, "exit status of `unload`, which said {:?}", unloaded.text)?;
    check_eq!(first.crash_loaded()?, false, "kexec_crash_loaded after `unload`")?;
    check_eq!(
        status(&mut first, 1)?["loaded"],
        Value::Bool(false),
        "`loaded` in status after `unload`"
    )?;
    first.note("`unload` has disarmed it");
    first.switch_off();
    Ok(())
}

/// What `status --json` says. It must exit with this status: 0 if a panic would leave a dump, else
/// 1.
pub(in crate::scenarios) fn status(
    first: &mut First<'_, '_>,
    expected: i32,
) -> Result<Value, Error> {
    let output = first.vm.run(&format!("{} status --json 2>/dev/null", guest::LOADER))?;
    check_eq!(output.status, expected, "exit status of `status`, which said {:?}", output.text)?;
    json(&output.text)
}

/// JSON that the guest has printed.
pub(in crate::scenarios) fn json(text: &str) -> Result<Value, Error> {
    let unintelligible = |error| Error::unreadable("JSON", format!("{error} in {text}"));
    serde_json::from_str(text).map_err(unintelligible)
}

fn segments(image: &Value) -> Result<Vec<(String, u64, u64)>, Error> {
    let unintelligible = || Error::unreadable("a list of segments", &image);
    let segment = |segment: &Value| {
        Some((
            segment["name"].as_str()?.to_owned(),
            segment["start"].as_u64()?,
            segment["len"].as_u64()?,
        ))
    };
    let list = image["segments"].as_array().ok_or_else(unintelligible)?;
    list.iter().map(segment).collect::<Option<_>>().ok_or_else(unintelligible)
}
