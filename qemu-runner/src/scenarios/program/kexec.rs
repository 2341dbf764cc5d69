//! `kexec-command`, `kexec-locked-down`, `file-load`: the loader called as `kexec` by services, and
//! kexec_file_load(2).

use serde_json::Value;

use crate::error::{Error, check, check_eq};
use crate::evidence::iomem::Iomem;
use crate::machine::DIMM_SIZE;
use crate::scenario::table;
use crate::stage::first::{CAPTURE_APPEND, First, load_command, load_file_command};
use crate::stage::{Packaging, Setup, Stage, guest};

/// Where services look for it.
const KEXEC: &str = "/sbin/kexec";
/// The kernel was asked, and refused.
const REFUSED_BY_KERNEL: i32 = 255;

table! {
    "kexec-command", [Makedumpfile, KexecFile], kexec_command,
        "as `kexec`, the loader takes the calls of three distributions' services, and the last \
         image captures";
    "kexec-locked-down", [Makedumpfile, KexecFile, Lockdown], locked_down,
        "under lockdown the kernel rejects an untrusted kernel without a loss, and `kexec -p -u` \
         disarms";
    "file-load", [Makedumpfile, KexecFile], file_load,
        "`load --file` lets the kernel make the image: status knows it, it follows a DIMM, bad \
         files are rejected, and it captures";
    "unified-kernel-image", [Makedumpfile, KexecFile], unified_kernel_image,
        "both system calls arm a unified kernel image with its own initrd and command line, and \
         it captures";
    "vmlinux", [Makedumpfile], vmlinux,
        "an unpacked kernel runs in the crash region, far from its link address, and captures";
}

fn kexec_command(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut first = stage.boot(&Setup::default())?;
    install(&mut first)?;
    expect_armed(&mut first, "at first", false)?;
    let region = first.crash_region()?;
    check_eq!(
        kexec(&mut first, "--print-ckr-size")?,
        (region.end - region.start).to_string(),
        "bytes that --print-ckr-size prints"
    )?;

    // kdumpctl: kexec_file_load, with debug output, and Secure Boot's way to disarm.
    kexec(
        &mut first,
        &format!(
            "-s -d -p --command-line='{CAPTURE_APPEND}' --initrd={} {}",
            guest::INITRD,
            guest::KERNEL
        ),
    )?;
    expect_armed(&mut first, "kdumpctl's start", true)?;
    check!(
        first.image().is_err(),
        "image after kexec_file_load: expected none of ours, found one"
    )?;
    kexec(&mut first, "-s -p -u")?;
    expect_armed(&mut first, "kdumpctl's stop under Secure Boot", false)?;

    // load.sh: everything after the file.
    kexec(
        &mut first,
        &format!("-p {} --append='{CAPTURE_APPEND}' --initrd={} -a", guest::KERNEL, guest::INITRD),
    )?;
    expect_armed(&mut first, "load.sh", true)?;
    let by_suse = first.image()?.identity;
    let said = refused(&mut first, "-l /boot/vmlinuz")?;
    check!(
        said.contains("KDUMP_LOADER_KEXEC"),
        "what `kexec` answers to -l: expected who else does it, found {said}"
    )?;
    refused(&mut first, "-p --real-mode /boot/vmlinuz")?;
    refused(&mut first, "-p /boot/capture.cpio")?;
    check_eq!(first.image()?.identity, by_suse, "identity of the armed image after refusals")?;
    kexec(&mut first, "-p -u")?;
    expect_armed(&mut first, "unload.sh", false)?;
    kexec(&mut first, "-p -u")?;

    // kdump-config: load, reload over it without the gap, and on to the panic.
    let command_line = format!(
        "BOOT_IMAGE=/boot/vmlinuz ro  {CAPTURE_APPEND} systemd.unit=kdump-tools-dump.service"
    );
    let load = format!(
        "-p --command-line=\"{command_line}\" --initrd={} {}",
        guest::INITRD,
        guest::KERNEL
    );
    kexec(&mut first, &load)?;
    let loaded = first.image()?.identity;
    let said = kexec(&mut first, &format!("{load} --hotplug --no-checks"))?;
    check!(
        said.contains("has no effect"),
        "what `kexec` answers to --no-checks: expected that it has no effect, found {said}"
    )?;
    check!(
        first.image()?.identity != loaded,
        "identity after a reload: expected another, found the same"
    )?;
    expect_armed(&mut first, "kdump-config's reload", true)?;
    for subsystem in ["cpu", "memory"] {
        let file = format!("/sys/devices/system/{subsystem}/crash_hotplug");
        check_eq!(first.vm.run_ok(&format!("cat {file}"))?, "1", "{file}")?;
    }
    first.note("kdumpctl's, load.sh's and kdump-config's calls do what they ask for");

    first.place_sentinel(1, &(0..u64::MAX))?;
    let mut capture = first.panic(None)?.capture()?;
    let line = capture.run_ok("cat /proc/cmdline")?;
    check!(
        line.starts_with(&command_line),
        "the capture kernel's command line: expected {command_line}, found {line}"
    )?;
    capture.expect_dump().map(drop)
}

const UNMOUNT: &str = "umount /sys/kernel/security; ";

fn locked_down(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut first = stage.boot(&Setup::default())?;
    install(&mut first)?;
    let load = format!(
        "-p --command-line='{CAPTURE_APPEND}' --initrd={} {}",
        guest::INITRD,
        guest::KERNEL
    );
    kexec(&mut first, &load)?;
    let ours = first.image()?.identity;
    first.vm.run_ok("echo integrity >/sys/kernel/security/lockdown")?;
    let said = refused(&mut first, &load.replace("-p ", "-p -c "))?;
    check!(
        said.contains("locked down"),
        "what `kexec` answers to -c: expected that the kernel is locked down, found {said}"
    )?;

    // A machine without UEFI has no key that vouches for a distribution's kernel. That shows only
    // when the kernel is given the file.
    for call in ["-a", "-s"] {
        let output = first.vm.run(&format!("{KEXEC} {load} {call}"))?;
        check_eq!(
            output.status,
            REFUSED_BY_KERNEL,
            "exit status of {call}, which said {:?}",
            output.text
        )?;
        check!(
            output.text.contains("still armed"),
            "what `kexec` answers to {call}: expected that nothing is lost, found {}",
            output.text
        )?;
        check!(
            output.text.contains("booted by a BIOS"),
            "what `kexec` answers to {call}: expected why no key is trusted, found {}",
            output.text
        )?;
        check_eq!(first.image()?.identity, ours, "identity of the armed image after {call}")?;
        expect_armed(&mut first, call, true)?;
        check_eq!(first.vm.run_ok("cat /sys/kernel/kexec_loaded")?, "0", "kexec_loaded")?;
    }
    first.note(
        "a kernel with a signature that is not trusted is refused, and the armed image stays armed",
    );

    // Now /proc/kcore is closed. Without securityfs, that is all that tells of lockdown.
    first.vm.run_ok("echo confidentiality >/sys/kernel/security/lockdown")?;
    for (case, before, word) in [
        ("confidentiality", "", "locked down (confidentiality"),
        ("no securityfs", UNMOUNT, "/proc/kcore"),
    ] {
        let output = first.vm.run(&format!("{before}{}", load_command(CAPTURE_APPEND, "")))?;
        let said = output.text.contains(word) && output.text.contains("--file");
        check!(
            output.status == 1 && said,
            "what `load` says under {case}: expected {word}, and --file, found {}",
            output.text
        )?;
        expect_armed(&mut first, case, true)?;
    }

    kexec(&mut first, "-p -u")?;
    expect_armed(&mut first, "-p -u under lockdown", false)?;
    first.note(
        "disarmed by kexec_file_load, as lockdown allows, and although securityfs is not mounted",
    );
    first.switch_off();
    Ok(())
}

fn file_load(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut first = stage.boot(&Setup { dimms: 1, ..Setup::default() })?;
    let load = load_file_command(CAPTURE_APPEND);
    let told = json(&first.vm.run_ok(&format!("{load} 2>/dev/null"))?)?;
    check_eq!(told["call"], Value::from("kexec_file_load"), "`call` that `load --file` printed")?;
    check_eq!(told["hotplug"], Value::Bool(true), "`hotplug` that `load --file` printed")?;
    check_eq!(first.crash_loaded()?, true, "kexec_crash_loaded after `load --file`")?;
    expect_recorded(&mut first, guest::KERNEL)?;

    // The system call would have freed the armed image before it looked at these.
    first.vm.run_ok(&format!("head -c 1000000 {} >/tmp/short; : >/tmp/empty", guest::KERNEL))?;
    for (good, bad) in [
        (guest::KERNEL, "/tmp/short"),
        (guest::KERNEL, guest::INITRD),
        (guest::INITRD, "/tmp/empty"),
    ] {
        let output = first.vm.run(&load.replace(good, bad))?;
        check_eq!(output.status, 1, "exit status with {bad}, which said {:?}", output.text)?;
        check_eq!(first.crash_loaded()?, true, "kexec_crash_loaded after {bad}")?;
    }
    expect_recorded(&mut first, guest::KERNEL)?;
    first.note("bad files are refused, and the image that the kernel has made stays armed");

    first.place_sentinel(2, &(0..u64::MAX))?;
    let before = first.iomem()?.dumped();
    let dimm = first.add_dimm(0)?;
    first.place_sentinel(1, &dimm)?;
    let mut crashed = first.panic(None)?;
    crashed.await_capture_kernel()?;
    let core = crashed.check_vmcore()?;
    let bytes: u64 = before.iter().map(|range| range.end - range.start).sum();
    let grown: u64 =
        crashed.victim.iomem.dumped().iter().map(|range| range.end - range.start).sum();
    check_eq!(grown, bytes + DIMM_SIZE, "memory to be dumped: what there was, and a DIMM")?;
    crashed.stage.outcome.fact("vmcore: bytes of memory", core.load_bytes());
    Ok(())
}

fn unified_kernel_image(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut first = stage.boot(&Setup { packaging: Packaging::Unified, ..Setup::default() })?;
    install(&mut first)?;
    kexec(&mut first, &format!("-p -s {}", guest::UKI))?;
    expect_armed(&mut first, "-s with a unified kernel image", true)?;
    expect_recorded(&mut first, guest::UKI)?;
    kexec(&mut first, "-p -s -u")?;
    kexec(&mut first, &format!("-p -c --type=uki {}", guest::UKI))?;
    expect_armed(&mut first, "-c with a unified kernel image", true)?;
    first.note(
        "armed a unified kernel image, with its own initrd, and its own command line \
                without crashkernel=",
    );
    first.place_sentinel(1, &(0..u64::MAX))?;
    let mut capture = first.panic(None)?.capture()?;
    let line = capture.run_ok("cat /proc/cmdline")?;
    check!(
        line.starts_with(CAPTURE_APPEND),
        "the capture kernel's command line: expected {}, found {line}",
        CAPTURE_APPEND
    )?;
    capture.expect_dump().map(drop)
}

fn vmlinux(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut first = stage.boot(&Setup { packaging: Packaging::Vmlinux, ..Setup::default() })?;
    install(&mut first)?;
    let load = format!(
        "-p -t elf-x86_64 --args-linux --append='{CAPTURE_APPEND}' --initrd={} {}",
        guest::INITRD,
        guest::VMLINUX
    );
    let said = refused(&mut first, &format!("{load} -s"))?;
    check!(
        said.contains("bzImages only"),
        "what `kexec` answers to -s: expected what the kernel takes, found {said}"
    )?;
    kexec(&mut first, &load)?;
    expect_armed(&mut first, "a vmlinux", true)?;
    let region = first.crash_region()?;
    first.place_sentinel(1, &(0..u64::MAX))?;
    let mut capture = first.panic(None)?.capture()?;
    capture.expect_dump()?;
    let text = Iomem::parse(&capture.run_ok("cat /proc/iomem")?)?.kernel_text;
    check!(
        region.contains(&text),
        "where the capture kernel runs: expected {region:x?}, found {text:#x}"
    )?;
    Ok(())
}

fn install(first: &mut First<'_, '_>) -> Result<(), Error> {
    first.vm.run_ok(&format!("mkdir -p /sbin && ln -s {} {KEXEC}", guest::LOADER)).map(drop)
}

/// The call must succeed; what it says.
fn kexec(first: &mut First<'_, '_>, arguments: &str) -> Result<String, Error> {
    first.vm.run_ok(&format!("{KEXEC} {arguments}"))
}

/// The call must be refused before the kernel is asked; what it says.
fn refused(first: &mut First<'_, '_>, arguments: &str) -> Result<String, Error> {
    let output = first.vm.run(&format!("{KEXEC} {arguments}"))?;
    check_eq!(
        output.status,
        1,
        "exit status of `kexec {arguments}`, which said {:?}",
        output.text
    )?;
    Ok(output.text)
}

/// `-S` and the kernel must say so.
fn expect_armed(first: &mut First<'_, '_>, when: &str, armed: bool) -> Result<(), Error> {
    check_eq!(first.crash_loaded()?, armed, "kexec_crash_loaded: {when}")?;
    let status = first.vm.run(&format!("{KEXEC} -S"))?.status;
    check_eq!(status, i32::from(armed), "exit status of -S: {when}")
}

/// `status` must know what the kernel has made an image of.
fn expect_recorded(first: &mut First<'_, '_>, kernel: &str) -> Result<(), Error> {
    let status = json(&first.vm.run_ok(&format!("{} status --json 2>/dev/null", guest::LOADER))?)?;
    let record = &status["record"];
    let known = serde_json::json!([
        status["loaded"],
        record["call"],
        record["kernel"],
        record["command_line"],
        status["identity"]
    ]);
    let expected = serde_json::json!([true, "kexec_file_load", kernel, CAPTURE_APPEND, null]);
    check_eq!(known, expected, "armed, call, kernel, command line and identity in status")
}

fn json(text: &str) -> Result<Value, Error> {
    let unintelligible = |error| Error::unreadable("JSON", format!("{error} in {text}"));
    serde_json::from_str(text).map_err(unintelligible)
}
