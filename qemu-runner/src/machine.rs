//! A machine as one struct, which becomes one command line of QEMU.

mod command_line; // as text
pub mod deadline; // when a run must be over
pub mod emulator; // the process
pub mod ram; // the guest's memory, as a file
pub mod monitor; // QMP
pub mod vm; // one running QEMU
pub mod agent; // the shell on the second serial port
pub mod checkpoint; // a booted machine, from which others start

use std::ffi::OsString;
use std::ops::Range;
use std::path::{Path, PathBuf};

use orders::ending::EXIT_PORT;

use crate::assets::Qemu;
use crate::machine::ram::Layout;

pub use command_line::{CommandLine, library_path};

/// Size of each memory backend that can be plugged in as a DIMM, in bytes, unless a machine says
/// otherwise.
pub const DIMM_SIZE: u64 = 1 << 30;

/// The id of the device for virtio-mem.
pub const VIRTIO_MEM: &str = "virtio-mem";

/// The processor of every machine but those whose point it is. `max` is all that TCG can emulate,
/// SHA-NI included. Without the hypervisor bit, and with the SMBIOS serial number below, Linux
/// believes it runs under VMware: it counts hot-pluggable CPUs only under a hypervisor it knows
/// (`acpi_is_processor_usable`, arch/x86/kernel/acpi/boot.c), and TCG is none. Five-level paging is
/// off, since the scenario `la57` is about having it on.
pub const CPU: &str = "max,-hypervisor,la57=off";
/// [`CPU`] without SHA-NI.
pub const CPU_WITHOUT_SHA_NI: &str = "max,-hypervisor,la57=off,sha-ni=off";
/// [`CPU`] without 1 GiB pages.
pub const CPU_WITHOUT_GIB_PAGES: &str = "max,-hypervisor,la57=off,pdpe1gb=off";
/// [`CPU`] with five-level paging.
pub const CPU_WITH_LA57: &str = "max,-hypervisor,la57=on";
/// Port of the transmit holding register of COM1 (16550 data sheet).
const COM1_TRANSMIT: u16 = 0x3f8;
/// Port of the pvpanic device of a machine that boots a disk (docs/specs/pvpanic.rst of QEMU).
pub const PVPANIC_PORT: u16 = 0x505;
/// Port of the first register of its management controller, in KCS (IPMI v2.0, section 9.5); the
/// second follows.
pub const KCS_PORT: u16 = 0xca2;
/// Port of its line status register.
const COM1_LINE_STATUS: u16 = 0x3fd;
/// See [`CPU`]: `vmware_platform`, arch/x86/kernel/cpu/vmware.c, looks for "VMware-".
const SMBIOS: &str = "type=1,serial=VMware-1";

/// What the guest is made of.
#[derive(Clone, Debug)]
pub struct Machine {
    /// `-cpu`.
    pub cpu: &'static str,
    /// CPUs at boot.
    pub cpus: u32,
    /// CPUs at most; the difference can be plugged in.
    pub max_cpus: u32,
    /// Memory at boot, in MiB.
    pub memory_mib: u64,
    /// How many memory backends of [`Machine::dimm_size`] wait to be plugged in, as `dimm0`,
    /// `dimm1` …
    pub dimms: u32,
    /// The size of each, in bytes.
    pub dimm_size: u64,
    /// How large its virtio-mem device can get, in bytes; it begins without memory, and there is
    /// none when 0.
    pub virtio_mem: u64,
    /// What boots, and crashes.
    pub boot: Boot,
    /// EFI firmware: the code, and this run's own copy of the variables.
    pub firmware: Option<(PathBuf, PathBuf)>,
    /// The port of localhost on which gdb is awaited before the first instruction.
    pub debugger: Option<u16>,
}

/// What a machine boots.
#[derive(Clone, Debug)]
pub enum Boot {
    /// Linux, put into memory by QEMU.
    Linux {
        /// The kernel.
        kernel: PathBuf,
        /// Its initial RAM disk.
        initrd: PathBuf,
        /// Its command line.
        append: String,
        /// A disk that it finds as /dev/vda.
        disk: Option<PathBuf>,
    },
    /// A disk with its own boot sector.
    Disk {
        /// The disk image.
        image: PathBuf,
        /// Keep a log of the instructions that are executed at these addresses (`bare/trace.rs`).
        trace: Option<Range<u64>>,
        /// A console that never takes a byte: a device that answers 0 where COM1's line status is.
        stuck_console: bool,
    },
}

/// Where a machine's ends are on the host.
#[derive(Clone, Debug)]
pub struct Ends {
    /// The file that is the guest's memory.
    pub ram: PathBuf,
    /// QEMU's own log.
    pub qemu_log: PathBuf,
    /// Console, agent and monitor.
    pub talk: Talk,
    /// What it begins with.
    pub start: PowerOn,
}

/// What a machine begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PowerOn {
    /// A reset, as when it is switched on.
    Reset,
    /// The state of another, which the monitor will bring.
    Incoming,
}

/// Who talks to a machine. Its console is on standard output in either case.
#[derive(Clone, Debug)]
pub enum Talk {
    /// The runner.
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
    /// Where a physical address of this machine is in its memory file.
    pub fn layout(&self) -> Layout {
        Layout::q35(self.memory_mib << 20)
    }

    /// The arguments for QEMU.
    pub fn arguments(&self, qemu: &Qemu, ends: &Ends) -> Vec<OsString> {
        let Self { cpu, cpus, max_cpus, .. } = self;
        let mut arguments = Arguments::default();
        for directory in &qemu.data_dirs {
            arguments.add("-L", directory);
        }
        let trace = match &self.boot {
            Boot::Disk { trace, .. } => trace.as_ref(),
            Boot::Linux { .. } => None,
        };
        // TCG, so that a run is the same with and without KVM, and so that SHA-NI can be had
        // everywhere.
        arguments.add(
            "-accel",
            if trace.is_some() {
                "tcg,thread=multi,one-insn-per-tb=on"
            } else {
                "tcg,thread=multi"
            },
        );
        arguments.add("-nodefaults", "").add("-display", "none").add("-nic", "none");
        arguments.add("-cpu", cpu).add("-smbios", SMBIOS);
        arguments
            .add("-smp", format!("{cpus},maxcpus={max_cpus},sockets={max_cpus},cores=1,threads=1"));
        self.memory(&ends.ram, &mut arguments);
        if let Some((code, variables)) = &self.firmware {
            arguments.add("-drive", option("if=pflash,unit=0,format=raw,readonly=on,file=", code));
            arguments.add("-drive", option("if=pflash,unit=1,format=raw,file=", variables));
        }
        match &self.boot {
            Boot::Linux { kernel, initrd, append, disk } => {
                arguments.add("-kernel", kernel).add("-initrd", initrd).add("-append", append);
                if let Some(image) = disk {
                    arguments.add("-drive", option("if=none,id=disk,format=raw,file=", image));
                    arguments.add("-device", "virtio-blk-pci,drive=disk");
                }
            }
            Boot::Disk { image, .. } => {
                // Nothing that it writes is of use, and several machines continue from one disk.
                arguments.add("-drive", option("if=ide,format=raw,snapshot=on,file=", image));
                // The bootloader's BIOS stages ask for a graphics mode.
                arguments
                    .add("-device", "VGA")
                    .add("-device", format!("isa-debug-exit,iobase={EXIT_PORT:#x},iosize=4"));
                // What the purgatory can signal to.
                arguments.add("-device", format!("pvpanic,ioport={PVPANIC_PORT:#x}"));
                arguments.add("-device", "ipmi-bmc-sim,id=bmc");
                arguments.add("-device", format!("isa-ipmi-kcs,bmc=bmc,ioport={KCS_PORT:#x}"));
            }
        }
        // ttyS0 is the console, on standard output; ttyS1 the agent. QEMU connects to the runner,
        // so the runner need not wait for a socket to appear.
        let (console, agent) = match &ends.talk {
            Talk::Runner { agent, .. } => ("", option("socket,id=agent,server=off,path=", agent)),
            Talk::Person { agent } => (",mux=on", option("file,id=agent,path=", agent)),
        };
        arguments.add("-chardev", format!("stdio,id=console,signal=off{console}"));
        if matches!(self.boot, Boot::Disk { stuck_console: true, .. }) {
            arguments.add("-serial", "none");
            // What is written although the line status forbids it is heard.
            arguments.add(
                "-device",
                format!("isa-debugcon,iobase={COM1_TRANSMIT:#x},readback=0,chardev=console"),
            );
            arguments.add("-chardev", "null,id=nowhere");
            arguments.add(
                "-device",
                format!("isa-debugcon,iobase={COM1_LINE_STATUS:#x},readback=0,chardev=nowhere"),
            );
        } else {
            arguments.add("-serial", "chardev:console");
        }
        arguments.add("-chardev", agent).add("-serial", "chardev:agent");
        match &ends.talk {
            Talk::Runner { monitor, .. } => {
                arguments.add("-chardev", option("socket,id=monitor,server=off,path=", monitor));
                arguments.add("-mon", "chardev=monitor,mode=control")
            }
            Talk::Person { .. } => arguments.add("-mon", "chardev=console,mode=readline"),
        };
        if let Some(port) = self.debugger {
            arguments.add("-gdb", format!("tcp:127.0.0.1:{port}")).add("-S", "");
        }
        if ends.start == PowerOn::Incoming {
            arguments.add("-incoming", "defer");
        }
        // A reset ends QEMU; its log tells a triple fault from a requested reset.
        arguments.add("-no-reboot", "").add("-D", &ends.qemu_log);
        match trace {
            Some(range) => arguments
                .add("-d", "cpu_reset,guest_errors,in_asm")
                .add("-dfilter", log_filter(range)),
            None => arguments.add("-d", "cpu_reset,guest_errors"),
        };
        arguments.0
    }
}

impl Machine {
    /// What it has at boot, in a file, and what can come later.
    fn memory(&self, ram: &Path, arguments: &mut Arguments) {
        let Self { memory_mib, dimms, dimm_size, virtio_mem, .. } = self;
        let to_come_mib = (u64::from(*dimms) * dimm_size + virtio_mem) >> 20;
        let memory = match to_come_mib {
            0 => format!("{memory_mib}M"),
            // QEMU wants a slot where there is more memory to come, even if no DIMM is.
            _ => format!(
                "{memory_mib}M,slots={},maxmem={}M",
                (*dimms).max(1),
                memory_mib + to_come_mib
            ),
        };
        arguments.add("-m", memory).add("-machine", "q35,memory-backend=ram");
        // Shared, so that a bit flipped in the file is flipped in the guest.
        arguments.add(
            "-object",
            option(
                &format!("memory-backend-file,id=ram,size={memory_mib}M,share=on,mem-path="),
                ram,
            ),
        );
        for dimm in 0..*dimms {
            arguments.add("-object", format!("memory-backend-ram,id=dimm{dimm},size={dimm_size}"));
        }
        if *virtio_mem != 0 {
            arguments.add(
                "-object",
                format!("memory-backend-ram,id={VIRTIO_MEM}-backend,size={virtio_mem}"),
            );
            arguments.add(
                "-device",
                format!(
                    "virtio-mem-pci,id={VIRTIO_MEM},memdev={VIRTIO_MEM}-backend,requested-size=0"
                ),
            );
        }
    }
}

/// `KEY=VALUE,…` with a path at its end; QEMU wants commas in it doubled.
fn option(prefix: &str, path: &Path) -> String {
    format!("{prefix}{}", path.display().to_string().replace(',', ",,"))
}

/// The addresses whose instructions QEMU logs.
fn log_filter(code: &Range<u64>) -> String {
    format!("{:#x}..{:#x}", code.start, code.end - 1)
}

/// A list of arguments in the making.
#[derive(Default)]
struct Arguments(Vec<OsString>);

impl Arguments {
    /// An option and its value, which is left out when empty.
    fn add(&mut self, option: &str, value: impl Into<OsString>) -> &mut Self {
        self.0.push(option.into());
        let value = value.into();
        if !value.is_empty() {
            self.0.push(value);
        }
        self
    }
}
