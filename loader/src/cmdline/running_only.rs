//! `[6d]` Parameters that only suit the running kernel. A capture kernel must not get them.
//!
//! They are of three kinds:
//! * those whose cost grows with the machine, which has gigabytes where the capture kernel has
//!   megabytes;
//! * those that change which memory is RAM, which the loader's memory map decides;
//! * those that serve the running kernel's purpose, such as finding bugs in it.
//!
//! Everything else is passed on. In particular these are, because saving the dump may need them:
//!
//! | parameter | reason |
//! | --- | --- |
//! | `root=`, `ip=`, `netroot=`, most of `rd.*` | Debian's initrd mounts the root by them |
//! | `init=`, `rdinit=`, `systemd.unit=` | they may name the program that saves the dump |
//! | `console=`, `earlyprintk=`, `quiet`, `panic=` | what the user sees, when it restarts |
//! | `intel_iommu=`, `iommu=`, `pci=`, `efi=` | the machine's devices may need them |
//! | `nr_cpus=`, `maxcpus=`, `cgroup_disable=`, `numa=off` | they make the capture kernel smaller |
//! | `oops=panic` | a restart is better than a capture kernel that hangs (`--capture` switches it off) |
//! | `acpi_rsdp=`, `mem_encrypt=` | they apply to every kernel on the machine |
//!
//! The initrds of kdumpctl and of openSUSE's mkdumprd find the dump target without `root=`, and
//! would wait for its disk. kdumpctl reuses no command line; load.sh drops `root=` and appends
//! `root=kdump`, which does not have to be dropped: the last `root=` counts in the kernel
//! (`root_dev_setup`, init/do_mounts.c), in dracut (`getarg`) and in systemd-fstab-generator.

mod table; // each of them, with effect and source

use super::parameter::{Word, same_name};
pub(super) use table::TABLE;

/// The values with which a parameter does not suit a capture kernel.
#[derive(Clone, Copy, Debug)]
pub enum Values {
    /// Every value, and no value.
    All,
    /// Every value except those that turn it off, such as `0`, `off` and `never`.
    On,
    /// Values for which this returns true.
    Only(fn(&[u8]) -> bool),
}

/// The effect on the dump if the caller passes a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// None. There is no warning.
    Nothing,
    /// The capture kernel has less memory, or takes longer.
    Costs,
    /// The dump may be lost or damaged.
    Loses,
}

/// Parameters with the same reason.
#[derive(Debug)]
pub struct Row {
    /// Their names, with underscores for hyphens. A name that ends in `*` matches every name with
    /// that prefix.
    pub names: &'static [&'static str],
    /// The values concerned.
    pub values: Values,
    /// The effect on the dump if the caller passes one of them.
    pub weight: Weight,
    /// Their effect on the capture kernel, as a clause; empty if they have none.
    pub effect: &'static str,
    /// The source: another service that drops them, or the kernel's documentation or code.
    pub source: &'static str,
}

/// Values that turn a parameter off (`kstrtobool`, lib/kstrtox.c, and the parsers of single
/// parameters).
const OFF: [&str; 7] = ["0", "n", "no", "off", "false", "never", "-"];

/// The row of this parameter, if there is one.
pub(super) fn row_of(word: &Word<'_>) -> Option<&'static Row> {
    let name = word.name();
    TABLE.iter().find(|row| {
        row.names.iter().any(|wanted| matches(name, wanted)) && row.values.include(word.value())
    })
}

impl Values {
    fn include(self, value: Option<&[u8]>) -> bool {
        match self {
            Self::All => true,
            Self::On => !value.is_some_and(|value| {
                OFF.iter().any(|off| value.eq_ignore_ascii_case(off.as_bytes()))
            }),
            Self::Only(concerned) => value.is_some_and(concerned),
        }
    }
}

fn matches(name: &[u8], wanted: &str) -> bool {
    // `sysctl/vm/nr_hugepages` is the same as `sysctl.vm.nr_hugepages` (`process_sysctl_arg`,
    // fs/proc/proc_sysctl.c).
    let dotted: Vec<u8>;
    let name = if name.starts_with(b"sysctl") {
        dotted = name.iter().map(|&byte| if byte == b'/' { b'.' } else { byte }).collect();
        &dotted
    } else {
        name
    };
    match wanted.strip_suffix('*') {
        Some(prefix) => {
            name.get(..prefix.len()).is_some_and(|start| same_name(start, prefix.as_bytes()))
        }
        None => same_name(name, wanted.as_bytes()),
    }
}

#[cfg(test)]
mod tests;
