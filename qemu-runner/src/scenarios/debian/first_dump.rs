//! `debian-first-dump`: the README's lines lead to a dump, on a Debian without any other package
//! for kdump.

use std::time::Duration;

use crate::error::{Error, check, expect_words};
use crate::machine::deadline::Deadline;
use crate::scenario::table;
use crate::stage::installed::{self, Guest, Kexec};
use crate::stage::{First, PANIC, Stage};

/// As for Debian's own service, and one boot more.
const LIMIT: Duration = Duration::from_secs(1200);
/// What `estimate` says, and what the README names.
const CRASHKERNEL: &str = "80M";

/// What Debian's disk has for kdump. `dpkg --purge` of the same would take a minute here, for its
/// scripts in Perl.
const REMOVE: &str = "dpkg --remove --no-triggers kdump-tools makedumpfile kexec-tools && \
                      rm -rf /var/crash /var/lib/kdump /etc/kdump /etc/default/kdump-tools";

/// The README's lines before the panic, without their comments.
const BEFORE: [&str; 5] = [
    "dpkg -i target/dist/kdump-loader_0.1.0_amd64.deb",
    "mkdir -p /var/crash",
    "kdump-loader estimate --capture /var/crash",
    LOAD,
    "kdump-loader test",
];
const LOAD: &str = "kdump-loader load --kernel /boot/vmlinuz-$(uname -r) --capture /var/crash";
/// After the reboot. The line that panics is between them.
const AFTER: [&str; 2] = [LOAD, "kdump-loader last --check"];
/// What the README says below these lines: the package's config, edited, arms at each boot.
const AT_EACH_BOOT: [&str; 3] = [
    r"sed -i -e '/^initrd =\|^reuse_cmdline =\|^append =/d' -e 's/^#capture =/capture =/' \
      /etc/kdump-loader.toml",
    // As at a boot, the service finds nothing armed.
    "kdump-loader unload && kdump-loader service install && systemctl start kdump-loader",
    "kdump-loader status; kdump-loader service check",
];

/// After the reboot, the service has armed. Then an edit of the config is out of date, and the unit
/// that hotplug starts arms.
const BY_THE_SERVICE: [&str; 2] = [
    "systemctl is-system-running --wait; systemctl is-active kdump-loader && kdump-loader status",
    "echo 'keep_dumps = 3' >>/etc/kdump-loader.toml && systemctl start kdump-loader-reload && \
     journalctl --sync && journalctl -b -q -o cat -u kdump-loader-reload",
];

table! {
    "debian-first-dump", [DebianDisk, Package], story,
        "the README's lines, on a Debian from which all other packages for kdump were removed: \
         80 MiB are reserved, the edited config arms by the service, `test --panic` panics, the \
         service arms at the next boot, and `last --check` reads the whole dump";
}

fn story(stage: &mut Stage<'_>) -> Result<(), Error> {
    stage.deadline = Deadline::after(LIMIT);
    let guest = Guest {
        package: true,
        partition: true,
        crashkernel: CRASHKERNEL,
        ..Guest::with(Kexec::Peer)
    };
    let (mut first, _disk) = installed::boot(stage, &guest)?;
    first.vm.run_ok(REMOVE)?;
    first.note("kdump-tools, makedumpfile and kexec-tools are removed");
    first.survive_resets()?;
    let [_, _, estimate, _, tested] = run(&mut first, BEFORE)?;
    // The package's config names an initrd that only kdump-tools makes.
    expect_words("`test` of the config", &tested, &["[config_unusable]"])?;
    expect_words("`estimate`", &estimate, &[&format!("crashkernel={CRASHKERNEL} ")])?;
    expect_words("`test`", &tested, &["ok      write: a file", "ok      status"])?;
    first.expect_armed(true, "after these lines")?;

    let [_, _, status] = run(&mut first, AT_EACH_BOOT)?;
    expect_yes(&status)?;
    let mut crashed = first.panic_by_test("kdump-loader")?;
    let after = crashed.await_saved()?;
    let mut first = crashed.boot_again(|_| Ok(()))?;
    let [status, reloaded] = run(&mut first, BY_THE_SERVICE)?;
    expect_yes(&status)?;
    expect_words("the reload's unit", &reloaded, &["kdump-loader: armed "])?;
    let [_, last] = run(&mut first, AFTER)?;
    expect_words("`last`", &last, &[PANIC, "saved: /var/crash/", "pages can be read"])?;
    first.stage.outcome.fact("from panic to saved", format!("{:.1} s", after.as_secs_f64()));
    first.switch_off();
    Ok(())
}

/// `status` says yes, and finds what the config asks for.
fn expect_yes(status: &str) -> Result<(), Error> {
    expect_words("`status` by the config", status, &["a panic now would leave a dump"])?;
    check!(!status.contains("config_"), "`status`: expected the config's image, found {status}")
}

/// Runs lines where the package is, and returns what each printed.
fn run<const N: usize>(first: &mut First<'_, '_>, lines: [&str; N]) -> Result<[String; N], Error> {
    let mut printed = [const { String::new() }; N];
    for (line, printed) in lines.into_iter().zip(&mut printed) {
        *printed = first.vm.run_ok(&format!("cd /root && {line} 2>&1"))?;
        first.note(format!("{line}: {printed}"));
    }
    Ok(printed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of the README's block of shell commands with `--capture`, without comments.
    fn of_readme() -> Vec<&'static str> {
        let readme = include_str!("../../../../README.md");
        let blocks = readme.split("```sh\n").skip(1).filter_map(|rest| rest.split_once("```"));
        let block = blocks.map(|(block, _)| block).find(|block| block.contains("--capture"));
        let lines = block.expect("such a block").lines();
        let commands = lines.map(|line| line.split(" #").next().unwrap_or_default().trim_end());
        commands.filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
    }

    #[test]
    fn scenario_runs_the_lines_of_the_readme() {
        let lines = of_readme();
        // The first is for a user on the machine that builds.
        let expected = [&BEFORE[..], &["kdump-loader test --panic"], &AFTER[..]].concat();
        assert_eq!(lines[1..], expected);
        assert!(lines[0].starts_with("cargo xtask package"));
    }
}
