//! `kexec-command`, `kexec-locked-down`, `file-load`: the loader called as `kexec` by services, and
//! kexec_file_load(2).

use serde_json::{Value, json};

use crate::error::{Error, check, check_eq, expect_words};
use crate::evidence::iomem::Iomem;
use crate::machine::DIMM_SIZE;
use crate::scenario::table;
use crate::stage::{
    CAPTURE_APPEND, First, Packaging, Setup, Stage, guest, json, load_command, load_file_command,
};

/// Where services look for it.
const KEXEC: &str = "/sbin/kexec";
/// The call was refused before the kernel was asked.
const REFUSED: i32 = 1;
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
         it captures",
        lab: Like("vmlinux");
    "vmlinux", [Makedumpfile], vmlinux,
        "an unpacked kernel runs in the crash region, far from its link address, and captures";
}

fn kexec_command(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut first = stage.boot(&Setup::default())?;
    install(&mut first)?;
    let (kernel, initrd) = (guest::KERNEL, guest::INITRD);
    expect_armed(&mut first, "at first", false)?;
    let region = first.crash_region()?;
    let printed = kexec(&mut first, 0, "--print-ckr-size")?;
    check_eq!(printed, (region.end - region.start).to_string(), "what --print-ckr-size prints")?;

    // kdumpctl: kexec_file_load, with debug output, and Secure Boot's way to disarm.
    let load = format!("-s -d -p --command-line='{CAPTURE_APPEND}' --initrd={initrd} {kernel}");
    kexec(&mut first, 0, &load)?;
    expect_armed(&mut first, "kdumpctl's start", true)?;
    check!(first.image().is_err(), "image after kexec_file_load: expected none of ours")?;
    kexec(&mut first, 0, "-s -p -u")?;
    expect_armed(&mut first, "kdumpctl's stop under Secure Boot", false)?;

    // load.sh: everything after the file.
    let load = format!("-p {kernel} --append='{CAPTURE_APPEND}' --initrd={initrd} -a");
    kexec(&mut first, 0, &load)?;
    expect_armed(&mut first, "load.sh", true)?;
    let by_suse = first.image()?.identity;
    let said = kexec(&mut first, REFUSED, "-l /boot/vmlinuz")?;
    expect_words("`kexec -l`", &said, &["KDUMP_LOADER_KEXEC"])?;
    kexec(&mut first, REFUSED, "-p --real-mode /boot/vmlinuz")?;
    kexec(&mut first, REFUSED, "-p /boot/capture.cpio")?;
    check_eq!(first.image()?.identity, by_suse, "identity of the armed image after refusals")?;
    kexec(&mut first, 0, "-p -u")?;
    expect_armed(&mut first, "unload.sh", false)?;
    kexec(&mut first, 0, "-p -u")?;

    // kdump-config: load, reload over it without the gap, and on to the panic.
    let command_line = format!(
        "BOOT_IMAGE=/boot/vmlinuz ro  {CAPTURE_APPEND} systemd.unit=kdump-tools-dump.service"
    );
    let load = format!("-p --command-line=\"{command_line}\" --initrd={initrd} {kernel}");
    kexec(&mut first, 0, &load)?;
    let loaded = first.image()?.identity;
    let said = kexec(&mut first, 0, &format!("{load} --hotplug --no-checks"))?;
    expect_words("`kexec --no-checks`", &said, &["has no effect"])?;
    check!(first.image()?.identity != loaded, "identity after a reload: expected another")?;
    expect_armed(&mut first, "kdump-config's reload", true)?;
    first.expect_crash_hotplug()?;
    first.note("kdumpctl's, load.sh's and kdump-config's calls do what they ask for");

    first.place_sentinel(1)?;
    let mut capture = first.panic(None)?.capture()?;
    let line = capture.run_ok("cat /proc/cmdline")?;
    check!(line.starts_with(&command_line), "command line: expected {command_line}, found {line}")?;
    capture.expect_dump().map(drop)
}

const UNMOUNT: &str = "umount /sys/kernel/security; ";

fn locked_down(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut first = stage.boot(&Setup::default())?;
    install(&mut first)?;
    let (kernel, initrd) = (guest::KERNEL, guest::INITRD);
    let load = format!("-p --command-line='{CAPTURE_APPEND}' --initrd={initrd} {kernel}");
    kexec(&mut first, 0, &load)?;
    let ours = first.image()?.identity;
    first.vm.run_ok("echo integrity >/sys/kernel/security/lockdown")?;
    let said = kexec(&mut first, REFUSED, &load.replace("-p ", "-p -c "))?;
    expect_words("`kexec -c`", &said, &["locked down"])?;

    // A machine without UEFI has no key that vouches for a distribution's kernel. That shows only
    // when the kernel is given the file.
    for call in ["-a", "-s"] {
        let said = kexec(&mut first, REFUSED_BY_KERNEL, &format!("{load} {call}"))?;
        expect_words(call, &said, &["still armed", "booted by a BIOS"])?;
        check_eq!(first.image()?.identity, ours, "identity of the armed image after {call}")?;
        expect_armed(&mut first, call, true)?;
        check_eq!(first.vm.run_ok("cat /sys/kernel/kexec_loaded")?, "0", "kexec_loaded")?;
    }
    first.note("a kernel whose signature is not trusted is refused, and the image stays armed");

    // The rehearsal would count as a load.
    first.vm.run_ok("echo 9 >/proc/sys/kernel/kexec_load_limit_reboot")?;
    let said = kexec(&mut first, REFUSED, &format!("{load} -s"))?;
    expect_words("-s without a rehearsal", &said, &["cannot be tried", "still armed"])?;
    check_eq!(first.image()?.identity, ours, "identity of the armed image without a rehearsal")?;
    expect_armed(&mut first, "-s without a rehearsal", true)?;
    first.note("a kernel that cannot be tried before is refused, and the image stays armed");

    // Now /proc/kcore is closed. Without securityfs, that is all that tells of lockdown.
    first.vm.run_ok("echo confidentiality >/sys/kernel/security/lockdown")?;
    for (case, before, word) in [
        ("confidentiality", "", "locked down (confidentiality"),
        ("no securityfs", UNMOUNT, "/proc/kcore"),
    ] {
        let load = format!("{before}{}", load_command(CAPTURE_APPEND, ""));
        let said = first.vm.run_to(1, &load)?;
        expect_words(&format!("`load` under {case}"), &said, &[word, "--file"])?;
        expect_armed(&mut first, case, true)?;
    }

    kexec(&mut first, 0, "-p -u")?;
    expect_armed(&mut first, "-p -u under lockdown", false)?;
    first.note("disarmed by kexec_file_load, as lockdown allows, although securityfs is unmounted");
    first.switch_off();
    Ok(())
}

fn file_load(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut first = stage.boot(&Setup { dimms: 1, ..Setup::default() })?;
    let load = load_file_command(CAPTURE_APPEND);
    let told: Value = json(&first.vm.run_ok(&format!("{load} 2>/dev/null"))?)?;
    check_eq!(told["call"], "kexec_file_load", "`call` that `load --file` printed")?;
    check_eq!(told["hotplug"], true, "`hotplug` that `load --file` printed")?;
    first.expect_armed(true, "after `load --file`")?;
    expect_recorded(&mut first, guest::KERNEL)?;

    // The system call would have freed the armed image before it looked at these.
    first.vm.run_ok(&format!("head -c 1000000 {} >/tmp/short; : >/tmp/empty", guest::KERNEL))?;
    for (good, bad) in [
        (guest::KERNEL, "/tmp/short"),
        (guest::KERNEL, guest::INITRD),
        (guest::INITRD, "/tmp/empty"),
    ] {
        first.vm.run_to(1, &load.replace(good, bad))?;
        first.expect_armed(true, &format!("after {bad}"))?;
    }
    expect_recorded(&mut first, guest::KERNEL)?;
    first.note("bad files are refused, and the image that the kernel has made stays armed");

    first.place_sentinel(2)?;
    let before = first.iomem()?.dumped();
    let dimm = first.add_dimm(0)?;
    first.place_sentinel_in(1, &dimm)?;
    let mut crashed = first.panic(None)?;
    crashed.await_capture_kernel()?;
    let core = crashed.check_vmcore()?;
    let [bytes, grown] = [before, crashed.victim.iomem.dumped()]
        .map(|ranges| ranges.iter().map(|range| range.end - range.start).sum::<u64>());
    check_eq!(grown, bytes + DIMM_SIZE, "memory to be dumped: what there was, and a DIMM")?;
    crashed.stage.outcome.fact("vmcore: bytes of memory", core.load_bytes());
    Ok(())
}

fn unified_kernel_image(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut first = stage.boot(&Setup { packaging: Packaging::Unified, ..Setup::default() })?;
    install(&mut first)?;
    kexec(&mut first, 0, &format!("-p -s {}", guest::UKI))?;
    expect_armed(&mut first, "-s with a unified kernel image", true)?;
    expect_recorded(&mut first, guest::UKI)?;
    kexec(&mut first, 0, "-p -s -u")?;
    kexec(&mut first, 0, &format!("-p -c --type=uki {}", guest::UKI))?;
    expect_armed(&mut first, "-c with a unified kernel image", true)?;
    first.note("armed with the image's own initrd, and its command line without crashkernel=");
    first.place_sentinel(1)?;
    let mut capture = first.panic(None)?.capture()?;
    let line = capture.run_ok("cat /proc/cmdline")?;
    check!(line.starts_with(CAPTURE_APPEND), "command line: expected ours, found {line}")?;
    capture.expect_dump().map(drop)
}

fn vmlinux(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut first = stage.boot(&Setup { packaging: Packaging::Vmlinux, ..Setup::default() })?;
    install(&mut first)?;
    let (kernel, initrd) = (guest::VMLINUX, guest::INITRD);
    let line = format!("--append='{CAPTURE_APPEND}'");
    let load = format!("-p -t elf-x86_64 --args-linux {line} --initrd={initrd} {kernel}");
    let said = kexec(&mut first, REFUSED, &format!("{load} -s"))?;
    expect_words("`kexec -s`", &said, &["bzImages only"])?;
    kexec(&mut first, 0, &load)?;
    expect_armed(&mut first, "a vmlinux", true)?;
    let region = first.crash_region()?;
    first.place_sentinel(1)?;
    let mut capture = first.panic(None)?.capture()?;
    capture.expect_dump()?;
    let text = Iomem::parse(&capture.run_ok("cat /proc/iomem")?)?.kernel_text;
    let inside = region.contains(&text);
    check!(inside, "where the capture kernel runs: expected {region:x?}, found {text:#x}")
}

fn install(first: &mut First<'_, '_>) -> Result<(), Error> {
    first.vm.run_ok(&format!("mkdir -p /sbin && ln -s {} {KEXEC}", guest::LOADER)).map(drop)
}

/// The call must end with this status; what it says.
fn kexec(first: &mut First<'_, '_>, status: i32, arguments: &str) -> Result<String, Error> {
    first.vm.run_to(status, &format!("{KEXEC} {arguments}"))
}

/// `-S` and the kernel must say so.
fn expect_armed(first: &mut First<'_, '_>, when: &str, armed: bool) -> Result<(), Error> {
    first.expect_armed(armed, when)?;
    kexec(first, i32::from(armed), "-S").map(drop)
}

/// `status` must know what the kernel has made an image of.
fn expect_recorded(first: &mut First<'_, '_>, kernel: &str) -> Result<(), Error> {
    let status = first.status(0)?;
    let record = &status["record"];
    let known = json!([
        status["loaded"],
        record["call"],
        record["kernel"],
        record["command_line"],
        status["identity"]
    ]);
    let expected = json!([true, "kexec_file_load", kernel, CAPTURE_APPEND, null]);
    check_eq!(known, expected, "armed, call, kernel, command line and identity in status")
}
