//! kdump-loader.toml(5), from the loader's table of keys.

use kdump_loader::options::config::keys;
use roff::{Roff, bold, italic, roman};

use super::{DATE, MANUAL, examples, item, paragraphs, section, see_also};

/// The page's file.
const FILE: &str = "kdump-loader.toml.5";
const PATH: &str = "/etc/kdump-loader.toml";

const DESCRIPTION: [&str; 3] = [
    "The config says which capture kernel kdump-loader.service arms at boot, and which one \
     `kdump-loader reload` arms when CPUs or memory have changed.",
    "The file is TOML: one key = value per line, strings in quotes, comments after #. Its keys \
     are the long options of `kdump-loader load`, with _ for -. An unknown key or a wrong value is \
     an error, and the image that was armed stays armed.",
    "After a change, `systemctl reload kdump-loader` applies the config. `kdump-loader status` \
     says whether the armed image is up to date.",
];

const EXAMPLES: [(&str, &str); 2] = [
    (
        "Debian, where kdump-tools makes the initrd and saves the dump:",
        "kernel = \"/boot/vmlinuz-{release}\"\n\
         initrd = \"/var/lib/kdump/initrd.img-{release}\"\nreuse_cmdline = true\nappend = \
         \"reset_devices systemd.unit=kdump-tools-dump.service nr_cpus=1 acpi_no_memhotplug\"",
    ),
    (
        "A kernel that must be built by the kernel itself, under Secure Boot:",
        "kernel = \"/boot/vmlinuz-{release}\"\nfile = \"always\"",
    ),
];

/// The page: its file name and its text.
pub fn page(source: &str) -> (&'static str, String) {
    let mut roff = Roff::new();
    roff.control("TH", ["kdump-loader.toml", "5", DATE, source, MANUAL]);
    section(&mut roff, "NAME");
    roff.text([roman("kdump-loader.toml - which capture kernel kdump-loader arms")]);
    section(&mut roff, "SYNOPSIS");
    roff.text([italic(PATH)]);
    section(&mut roff, "DESCRIPTION");
    paragraphs(&mut roff, &DESCRIPTION);
    section(&mut roff, "KEYS");
    for key in keys::ALL {
        item(&mut roff, [bold(key.name), roman(" = "), italic(key.value)], key.meaning);
        roff.control("IP", []);
        roff.text([roman(format!("Default: {}.", key.default))]);
    }
    section(&mut roff, "FILES");
    item(
        &mut roff,
        [italic(PATH)],
        "The config. `kdump-loader reload --config FILE` reads another.",
    );
    section(&mut roff, "EXAMPLES");
    examples(&mut roff, &EXAMPLES);
    see_also(
        &mut roff,
        [("kdump-loader", "8"), ("kdump-loader-load", "8"), ("kdump-loader-reload", "8")]
            .into_iter(),
    );
    (FILE, roff.to_roff())
}
