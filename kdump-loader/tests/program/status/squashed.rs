//! Initrds whose copy of the settings is squashed, so that it cannot be read.

use super::{said, told};
use crate::fixture::status::Debian;

/// A machine with these settings and such an initrd, which lists the modules that dracut put in.
fn machine(settings: (&str, &str), list: &str, modules: &[u8]) -> Debian {
    let machine = Debian::new();
    machine.write(settings.0, settings.1);
    machine.initrd(&[("squash-root.img", b"hsqs"), (list, modules)]);
    machine
}

#[test]
fn settings_that_changed_after_the_initrd_was_made_are_not_its_copy() {
    for (settings, list, modules, rebuild) in [
        (
            ("etc/kdump.conf", "path /dumps\n"),
            "usr/lib/dracut/modules.txt",
            b"bash\nkdumpbase\nsquash\n".as_slice(),
            "help: run kdumpctl rebuild",
        ),
        (
            ("etc/sysconfig/kdump", "KDUMP_SAVEDIR=/var/crash\n"),
            "lib/dracut/modules.txt",
            b"bash\nkdump\n",
            "help: run mkdumprd -f",
        ),
    ] {
        let machine = machine(settings, list, modules);
        assert_eq!(told(&machine), "yes: makedumpfile_unknown");
        machine.is_newer(settings.0);
        let told = told(&machine);
        assert!(told.starts_with("yes_but:") && told.contains(" target_unknown"), "{told}");
        let text = said(&machine);
        let words = format!("/{} has changed since the initrd /var/lib/kdump/", settings.0);
        assert!(text.contains(&words) && text.contains(rebuild), "{text}");
    }
}
