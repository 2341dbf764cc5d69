//! `[7]` The capture kernel's parameters with `--capture`: those of the user, and defaults that
//! save memory or the dump.
//!
//! *On entry* the parameters that were chosen, and the running kernel's command line. *On exit* the
//! same, with every default that they do not mention.

use loader::cmdline::{self, Base};

/// A default: the parameter's name, and the parameter.
type Default = (&'static str, &'static str);

/// What a capture kernel that runs only /init should get (docs/capture.md has the reasons).
const DEFAULTS: [Default; 5] = [
    // Memory for each CPU.
    ("nr_cpus", "nr_cpus=1"),
    // Memory during the boot: tests of ciphers are among what makes it run out.
    ("cryptomgr.notests", "cryptomgr.notests"),
    // Devices were not shut down.
    ("reset_devices", "reset_devices"),
    // DIMMs that were added hold what must be dumped.
    ("acpi_no_memhotplug", "acpi_no_memhotplug"),
    // A capture kernel that panics itself must not hang.
    ("panic", "panic=10"),
];
/// Where the kernel prints.
const CONSOLE: &str = "console";

/// Adds the defaults. Without a console among the parameters, the capture kernel gets the running
/// kernel's.
pub fn complete(base: &mut Base, running: &[u8]) {
    let missing = |&&(name, _): &&Default| !cmdline::has_parameter(&base.line, name);
    let mut added: Vec<String> =
        DEFAULTS.iter().filter(missing).map(|(_, parameter)| (*parameter).to_owned()).collect();
    if !cmdline::has_parameter(&base.line, CONSOLE) {
        let consoles = cmdline::values(running, CONSOLE).into_iter();
        added.extend(consoles.map(|value| format!("{CONSOLE}={value}")));
    }
    base.append(&added.join(" "));
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNNING: &[u8] = b"root=/dev/vda1 console=tty0 console=ttyS0,115200 crashkernel=80M";

    fn completed(line: &str) -> String {
        let mut base = Base::from(line);
        complete(&mut base, RUNNING);
        String::from_utf8(base.line).unwrap()
    }

    #[test]
    fn empty_line_gets_every_default_and_the_running_kernels_consoles_in_order() {
        assert_eq!(
            completed(""),
            "nr_cpus=1 cryptomgr.notests reset_devices acpi_no_memhotplug panic=10 console=tty0 \
             console=ttyS0,115200"
        );
    }

    #[test]
    fn parameters_of_the_user_are_kept_and_not_repeated() {
        assert_eq!(
            completed("nr-cpus=2 panic=0 console=hvc0 -- for init"),
            "nr-cpus=2 panic=0 console=hvc0 cryptomgr.notests reset_devices acpi_no_memhotplug -- \
             for init"
        );
    }

    #[test]
    fn no_default_is_unfit_for_a_capture_kernel() {
        let mut base = Base::default();
        complete(&mut base, b"");
        assert!(base.unfit().is_empty(), "{:?}", base.unfit());
    }
}
