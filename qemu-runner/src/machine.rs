//! A machine as one struct, which becomes one command line of QEMU.

pub mod deadline; // when a run must be over
pub mod emulator; // the process
pub mod disk; // its disks
pub mod ram; // the guest's memory, as a file
pub mod monitor; // QMP
pub mod vm; // one running QEMU
pub mod agent; // the shell on the second serial port
pub mod checkpoint; // a booted machine, from which others start
pub mod controller; // the event log of its management controller

use std::ffi::OsStr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use orders::ending::EXIT_PORT;

use crate::assets::Qemu;
use crate::machine::ram::Layout;

/// Size of each memory backend that can be plugged in as a DIMM, in bytes, unless a machine says
/// otherwise.
pub const DIMM_SIZE: u64 = 1 << 30;

pub const VIRTIO_MEM: &str = "virtio-mem";
/// Where QEMU's memory for devices begins if less than 2 GiB is there at boot
/// (`pc_get_device_memory_range`, hw/i386/pc.c).
pub const DEVICE_MEMORY: u64 = 1 << 32;

/// CPUs at boot, unless a machine says otherwise.
pub const BOOT_CPUS: u32 = 2;

/// The processor of every machine but those whose point it is. `max` is all that TCG can emulate,
/// SHA-NI included. Without the hypervisor bit, and with the SMBIOS serial number below, Linux
/// believes it runs under VMware: it counts hot-pluggable CPUs only under a hypervisor it knows
/// (`acpi_is_processor_usable`, arch/x86/kernel/acpi/boot.c), and TCG is none. Five-level paging is
/// off, since the scenario `la57` is about having it on.
pub const CPU: &str = "max,-hypervisor,la57=off";
pub const CPU_WITHOUT_SHA_NI: &str = "max,-hypervisor,la57=off,sha-ni=off";
pub const CPU_WITHOUT_GIB_PAGES: &str = "max,-hypervisor,la57=off,pdpe1gb=off";
pub const CPU_WITH_LA57: &str = "max,-hypervisor,la57=on";
/// Port of the transmit holding register of COM1 (16550 data sheet).
const COM1_TRANSMIT: u16 = 0x3f8;
/// Port of its line status register.
const COM1_LINE_STATUS: u16 = 0x3fd;
/// Port that SeaBIOS writes its messages to (docs/Debugging.md of SeaBIOS).
const FIRMWARE_DEBUG_PORT: u16 = 0x402;
/// Port of the pvpanic device (docs/specs/pvpanic.rst of QEMU).
pub const PVPANIC_PORT: u16 = 0x505;
/// Port of the first register of the management controller, in KCS (IPMI v2.0, section 9.5); the
/// second follows.
pub const KCS_PORT: u16 = 0xca2;
/// See [`CPU`]: `vmware_platform`, arch/x86/kernel/cpu/vmware.c, looks for "VMware-".
const SMBIOS: &str = "type=1,serial=VMware-1";

#[derive(Clone, Debug)]
pub struct Machine {
    pub cpu: &'static str,
    pub cpus: u32,
    /// CPUs at most; the difference can be plugged in.
    pub max_cpus: u32,
    pub memory_mib: u64,
    /// How many memory backends of [`Machine::dimm_size`] wait to be plugged in, as `dimm0`,
    /// `dimm1` …
    pub dimms: u32,
    pub dimm_size: u64,
    /// How large its virtio-mem device can get, in bytes; it begins without memory, and there is
    /// none when 0.
    pub virtio_mem: u64,
    /// Whether it has devices by which the purgatory can signal: pvpanic, and a management
    /// controller.
    pub signals: bool,
    /// Whether it has a watchdog, which resets it if nothing feeds it: an i6300esb.
    pub watchdog: bool,
    pub boot: Boot,
    /// Disks besides the one that it boots from.
    pub disks: Vec<disk::Disk>,
    /// EFI firmware: the code, and this run's own copy of the variables.
    pub firmware: Option<(PathBuf, PathBuf)>,
    /// The port of localhost on which gdb is awaited before the first instruction.
    pub debugger: Option<u16>,
}

#[derive(Clone, Debug)]
pub enum Boot {
    /// Linux, put into memory by QEMU.
    Linux {
        kernel: PathBuf,
        initrd: PathBuf,
        append: String,
        /// A disk that it finds as /dev/vda.
        disk: Option<PathBuf>,
    },
    /// The crash kernel of the fault matrix, likewise.
    CrashKernel {
        kernel: PathBuf,
        /// Its orders.
        ramdisk: PathBuf,
        /// Keep a log of the instructions that are executed at these addresses (`bare/trace.rs`).
        trace: Option<Range<u64>>,
        /// A console that never takes a byte: a device that answers 0 where COM1's line status is.
        stuck_console: bool,
    },
}

/// Where a machine's ends are on the host.
#[derive(Clone, Debug)]
pub struct Ends {
    pub ram: PathBuf,
    pub qemu_log: PathBuf,
    /// What SeaBIOS says about its own work.
    pub firmware_log: PathBuf,
    pub talk: Talk,
    /// Whether it begins with the state of another, which the monitor will bring, not with a reset.
    pub incoming: bool,
}

/// Who talks to a machine. Its console is on standard output in either case.
#[derive(Clone, Debug)]
pub enum Talk {
    Runner {
        /// The socket on which it waits for the guest's second serial port.
        agent: PathBuf,
        /// The socket on which it waits for the monitor.
        monitor: PathBuf,
    },
    /// A person at a terminal, for whom Ctrl-A C opens the monitor and ends QEMU with Ctrl-A X.
    Person {
        /// The file that takes what the guest says on its second serial port.
        agent: PathBuf,
    },
}

impl Machine {
    /// One with two CPUs and so much memory, and nothing to be plugged in.
    pub fn of(boot: Boot, memory_mib: u64) -> Self {
        Self {
            cpu: CPU,
            cpus: BOOT_CPUS,
            max_cpus: BOOT_CPUS,
            memory_mib,
            dimms: 0,
            dimm_size: DIMM_SIZE,
            virtio_mem: 0,
            signals: false,
            watchdog: false,
            boot,
            disks: Vec::new(),
            firmware: None,
            debugger: None,
        }
    }

    /// Where a physical address of this machine is in its memory file.
    pub fn layout(&self) -> Layout {
        Layout::q35(self.memory_mib << 20)
    }

    /// QEMU, as this machine.
    pub fn command(&self, qemu: &Qemu, ends: &Ends) -> Command {
        let Self { cpu, cpus, max_cpus, .. } = self;
        let mut line = Command::new(&qemu.program);
        if !qemu.library_path.is_empty() {
            let path: Vec<_> = qemu.library_path.iter().map(|path| path.as_os_str()).collect();
            line.env("LD_LIBRARY_PATH", path.join(OsStr::new(":")));
        }
        for directory in &qemu.data_dirs {
            line.arg("-L").arg(directory);
        }
        // TCG, so that a run is the same with and without KVM, and so that SHA-NI can be had
        // everywhere.
        let (mut accelerator, mut logged) = ("tcg,thread=multi", "cpu_reset,guest_errors");
        if let Boot::CrashKernel { trace: Some(code), .. } = &self.boot {
            accelerator = "tcg,thread=multi,one-insn-per-tb=on";
            logged = "cpu_reset,guest_errors,in_asm";
            line.args(["-dfilter", &format!("{:#x}..{:#x}", code.start, code.end - 1)]);
        }
        line.args(["-accel", accelerator, "-nodefaults", "-display", "none", "-nic", "none"]);
        line.args(["-cpu", cpu, "-smbios", SMBIOS, "-smp"]);
        line.arg(format!("{cpus},maxcpus={max_cpus},sockets={max_cpus},cores=1,threads=1"));
        self.add_memory(&ends.ram, &mut line);
        if let Some((code, variables)) = &self.firmware {
            let code = with_path("if=pflash,unit=0,format=raw,readonly=on,file=", code);
            let variables = with_path("if=pflash,unit=1,format=raw,file=", variables);
            line.args(["-drive", &code, "-drive", &variables]);
        }
        match &self.boot {
            Boot::Linux { kernel, initrd, append, disk } => {
                line.arg("-kernel").arg(kernel).arg("-initrd").arg(initrd);
                line.args(["-append", append]);
                if let Some(image) = disk {
                    let image = with_path("if=none,id=disk,format=raw,file=", image);
                    line.args(["-drive", &image, "-device", "virtio-blk-pci,drive=disk"]);
                }
            }
            Boot::CrashKernel { kernel, ramdisk, .. } => {
                line.arg("-kernel").arg(kernel).arg("-initrd").arg(ramdisk);
                let exit = format!("isa-debug-exit,iobase={EXIT_PORT:#x},iosize=4");
                line.args(["-device", &exit]);
            }
        }
        if self.signals {
            let pvpanic = format!("pvpanic,ioport={PVPANIC_PORT:#x}");
            let kcs = format!("isa-ipmi-kcs,bmc=bmc,ioport={KCS_PORT:#x}");
            line.args(["-device", &pvpanic, "-device", "ipmi-bmc-sim,id=bmc", "-device", &kcs]);
        }
        if self.watchdog {
            line.args(["-device", "i6300esb"]);
        }
        for (number, disk) in self.disks.iter().enumerate() {
            disk.add(number, &mut line);
        }
        // ttyS0 is the console, on standard output; ttyS1 the agent. QEMU connects to the runner,
        // so the runner need not wait for a socket to appear.
        match &ends.talk {
            Talk::Runner { agent, monitor } => {
                let agent = with_path("socket,id=agent,server=off,path=", agent);
                let monitor = with_path("socket,id=monitor,server=off,path=", monitor);
                line.args(["-chardev", "stdio,id=console,signal=off", "-chardev", &agent]);
                line.args(["-chardev", &monitor, "-mon", "chardev=monitor,mode=control"]);
            }
            Talk::Person { agent } => {
                let agent = with_path("file,id=agent,path=", agent);
                line.args(["-chardev", "stdio,id=console,signal=off,mux=on", "-chardev", &agent]);
                line.args(["-mon", "chardev=console,mode=readline"]);
            }
        }
        if matches!(self.boot, Boot::CrashKernel { stuck_console: true, .. }) {
            // What is written although the line status forbids it is heard.
            let port = |port: u16, chardev: &str| {
                format!("isa-debugcon,iobase={port:#x},readback=0,chardev={chardev}")
            };
            line.args(["-serial", "none", "-chardev", "null,id=nowhere"]);
            line.args(["-device", &port(COM1_TRANSMIT, "console")]);
            line.args(["-device", &port(COM1_LINE_STATUS, "nowhere")]);
        } else {
            line.args(["-serial", "chardev:console"]);
        }
        line.args(["-serial", "chardev:agent"]);
        line.arg("-chardev").arg(with_path("file,id=firmware,path=", &ends.firmware_log));
        line.arg("-device")
            .arg(format!("isa-debugcon,iobase={FIRMWARE_DEBUG_PORT:#x},chardev=firmware"));
        if let Some(port) = self.debugger {
            line.args(["-gdb", &format!("tcp:127.0.0.1:{port}"), "-S"]);
        }
        if ends.incoming {
            line.args(["-incoming", "defer"]);
        }
        // A reset ends QEMU; its log tells a triple fault from a requested reset.
        line.args(["-no-reboot", "-d", logged, "-D"]).arg(&ends.qemu_log);
        line
    }

    /// What it has at boot, in a file, and what can come later.
    fn add_memory(&self, ram: &Path, line: &mut Command) {
        let Self { memory_mib, dimms, dimm_size, virtio_mem, .. } = self;
        let to_come_mib = (u64::from(*dimms) * dimm_size + virtio_mem) >> 20;
        let mut memory = format!("{memory_mib}M");
        if to_come_mib != 0 {
            // QEMU wants a slot where there is more memory to come, even if no DIMM is.
            let (slots, most_mib) = ((*dimms).max(1), memory_mib + to_come_mib);
            memory += &format!(",slots={slots},maxmem={most_mib}M");
        }
        // Shared, so that a bit flipped in the file is flipped in the guest.
        let file = format!("memory-backend-file,id=ram,size={memory_mib}M,share=on,mem-path=");
        line.args(["-m", &memory, "-machine", "q35,memory-backend=ram"]);
        line.args(["-object", &with_path(&file, ram)]);
        for dimm in 0..*dimms {
            line.args(["-object", &format!("memory-backend-ram,id=dimm{dimm},size={dimm_size}")]);
        }
        if *virtio_mem != 0 {
            let backend = format!("{VIRTIO_MEM}-backend");
            line.args(["-object", &format!("memory-backend-ram,id={backend},size={virtio_mem}")]);
            // After the DIMMs, which would find their addresses taken.
            let at = DEVICE_MEMORY + u64::from(*dimms) * dimm_size;
            let device = format!("id={VIRTIO_MEM},memdev={backend},memaddr={at},requested-size=0");
            line.args(["-device", &format!("virtio-mem-pci,{device}")]);
        }
    }
}

/// `KEY=VALUE,…` with a path at its end; QEMU wants commas in it doubled.
fn with_path(prefix: &str, path: &Path) -> String {
    format!("{prefix}{}", path.display().to_string().replace(',', ",,"))
}

/// QEMU's command line as text that can be pasted into a shell.
pub fn shell_text(qemu: &Qemu, command: &Command) -> String {
    let mut text = format!("# {}\n", qemu.version);
    for (name, value) in command.get_envs() {
        let value = value.unwrap_or_default().to_string_lossy();
        text += &format!("{}={} ", name.display(), shell_words::quote(&value));
    }
    text += &shell_words::quote(&command.get_program().to_string_lossy());
    for argument in command.get_args() {
        text += " ";
        text += &shell_words::quote(&argument.to_string_lossy());
    }
    text
}
