//! Command lines as QEMU must get them.

use super::*;

fn example() -> (Machine, Qemu, Ends) {
    let machine = Machine {
        cpu: CPU,
        cpus: 2,
        max_cpus: 4,
        memory_mib: 1024,
        dimms: 2,
        dimm_size: DIMM_SIZE,
        virtio_mem: 0,
        boot: Boot::Linux {
            kernel: "vmlinuz".into(),
            initrd: "initrd".into(),
            append: "console=ttyS0 crashkernel=256M".into(),
            disk: None,
        },
        firmware: None,
        debugger: None,
    };
    let qemu = Qemu {
        program: "/opt/qemu system".into(),
        library_path: vec!["/opt/a".into(), "/opt/b".into()],
        data_dirs: vec!["/opt/share".into()],
        version: "QEMU emulator version 10.0.2".into(),
    };
    let talk = Talk::Runner { agent: "agent".into(), monitor: "qmp".into() };
    let ends = Ends { ram: "a,b/ram".into(), qemu_log: "log".into(), talk, start: PowerOn::Reset };
    (machine, qemu, ends)
}

#[test]
fn command_line_can_be_pasted() {
    let (machine, qemu, ends) = example();
    let arguments = machine.arguments(&qemu, &ends);
    let text = CommandLine { qemu: &qemu, arguments: &arguments }.to_string();
    let (version, command) = text.split_once('\n').unwrap();
    assert_eq!(version, "# QEMU emulator version 10.0.2");
    let words = shell_words::split(command).unwrap();
    assert_eq!(words[0], "LD_LIBRARY_PATH=/opt/a:/opt/b");
    assert_eq!(words[1], "/opt/qemu system");
    assert!(words.contains(&"console=ttyS0 crashkernel=256M".to_owned()));
    assert!(words.contains(&"1024M,slots=2,maxmem=3072M".to_owned()));
    assert!(words.contains(&"-no-reboot".to_owned()));
    assert!(words.windows(2).any(|pair| pair == ["-nic", "none"]));
}

#[test]
fn commas_in_paths_are_doubled() {
    let (machine, qemu, ends) = example();
    let arguments = machine.arguments(&qemu, &ends);
    assert!(arguments.iter().any(|argument| argument.to_string_lossy().ends_with("mem-path=a,,b/ram")));
}

#[test]
fn person_with_a_debugger_needs_no_runner() {
    let (mut machine, qemu, mut ends) = example();
    ends.talk = Talk::Person { agent: "agent".into() };
    machine.debugger = Some(4321);
    let arguments = machine.arguments(&qemu, &ends);
    assert!(arguments.iter().all(|argument| !argument.to_string_lossy().starts_with("socket")), "{arguments:?}");
    assert!(arguments.windows(3).any(|three| three == ["-gdb", "tcp:127.0.0.1:4321", "-S"]), "{arguments:?}");
}

#[test]
fn disk_of_linux_is_a_virtio_device_and_absent_unless_asked_for() {
    let (mut machine, qemu, ends) = example();
    let disks = |machine: &Machine| {
        let arguments = machine.arguments(&qemu, &ends);
        arguments.windows(2).filter(|pair| pair[0] == "-drive" && pair[1].to_string_lossy().ends_with("file=d,,isk")).count()
    };
    assert_eq!(disks(&machine), 0);
    let Boot::Linux { disk, .. } = &mut machine.boot else { unreachable!("the example boots Linux") };
    *disk = Some("d,isk".into());
    assert_eq!(disks(&machine), 1);
}

#[test]
fn virtio_mem_begins_without_memory_and_has_room_to_get_some() {
    let (mut machine, qemu, ends) = example();
    let count = |machine: &Machine, word: &str| {
        machine.arguments(&qemu, &ends).iter().filter(|argument| argument.to_string_lossy().contains(word)).count()
    };
    assert_eq!(count(&machine, "virtio-mem"), 0);
    (machine.dimms, machine.virtio_mem) = (0, 1 << 30);
    assert_eq!([count(&machine, "requested-size=0"), count(&machine, "1024M,slots=1,maxmem=2048M")], [1, 1]);
}

#[test]
fn firmware_is_two_flash_chips() {
    let (mut machine, qemu, ends) = example();
    machine.firmware = Some(("code.fd".into(), "vars.fd".into()));
    let arguments = machine.arguments(&qemu, &ends);
    assert_eq!(arguments.iter().filter(|argument| argument.to_string_lossy().starts_with("if=pflash")).count(), 2);
}
