//! Checks files before they are armed: whether they exist, belong together, and save the dump. They
//! are those of the config, or those that were just read.
//!
//! For the config, the root may be a disk image, made on a machine that runs another kernel. Then
//! each kernel in its /boot is checked, or if there is none, each one next to its modules.

use std::collections::BTreeSet;
use std::path::Path;

use loader::request::InputFile;

use super::capture::Capture;
use super::files::Files;
use super::saver;
use crate::findings::{Code, Finding};
use crate::options::config::{self, Config};

/// Directory of kernels, and the prefix before the release in their names.
const KERNELS: (&str, &str) = ("boot", "vmlinuz-");

/// Directory of modules, which has the kernel where /boot has none (ostree, and Fedora's
/// kernel-install without a boot loader).
const MODULES: &str = "usr/lib/modules";
const MODULES_KERNEL: &str = "vmlinuz";

/// Checks files that are about to be armed. `root` may have the program that saves the dump; it is
/// `None` if that machine is elsewhere.
pub fn files_to_arm(
    root: Option<&Path>,
    kernel: &InputFile,
    initrd: Option<&InputFile>,
    command_line: &[u8],
) -> Vec<Finding> {
    let capture = Capture::requested(kernel, initrd, command_line);
    let mut findings = Vec::new();
    capture.look(&mut findings);
    saver::find(root, &capture, &mut findings);
    findings
}

/// The finding that a kernel and its initrd are of different releases.
pub fn mismatch(kernel: &InputFile, initrd: Option<&InputFile>) -> Option<Finding> {
    let mut findings = Vec::new();
    Capture::requested(kernel, initrd, &[]).look(&mut findings);
    findings.into_iter().find(|finding| finding.code == Code::ReleaseMismatch)
}

/// Checks the files that the config below `root` names. A missing config is no finding here.
pub fn files_of_config(root: &Path) -> Vec<Finding> {
    let files = Files::new(root);
    let Some(text) = files.text(config::DEFAULT) else { return Vec::new() };
    let mut findings = Vec::new();
    let mut looked_at = BTreeSet::new();
    for release in releases(files, &text) {
        let config = match Config::on_machine(&text, &release, |path| files.exists(path)) {
            Ok(config) => config,
            Err(defect) => {
                findings.push(Finding::new(
                    Code::ConfigUnusable,
                    format!("/{}: {defect}", config::DEFAULT),
                ));
                break;
            }
        };
        if looked_at.insert((config.options.kernel.clone(), config.options.initrd.clone())) {
            look(root, files, &config, &mut findings);
        }
    }
    findings
}

/// The releases that could be armed: the running kernel's if its file exists, otherwise those in
/// /boot.
fn releases(files: Files<'_>, config: &str) -> Vec<String> {
    let running = files.line("proc/sys/kernel/osrelease").unwrap_or_default();
    let names_kernel = |release: &str| {
        Config::on_machine(config, release, |path| files.exists(path))
            .is_ok_and(|config| files.exists(&config.options.kernel))
    };
    if !running.is_empty() && names_kernel(&running) {
        return vec![running];
    }
    let (directory, prefix) = KERNELS;
    let names = files.names(directory);
    let mut installed: Vec<String> =
        names.iter().filter_map(|name| name.strip_prefix(prefix)).map(str::to_owned).collect();
    if installed.is_empty() {
        let with_kernel =
            |release: &String| files.exists(format!("{MODULES}/{release}/{MODULES_KERNEL}"));
        installed.extend(files.names(MODULES).into_iter().filter(with_kernel));
    }
    match (installed.is_empty(), running.is_empty()) {
        (false, _) => installed,
        (true, false) => vec![running],
        (true, true) => vec![config::RELEASE.to_owned()],
    }
}

fn look(root: &Path, files: Files<'_>, config: &Config, findings: &mut Vec<Finding>) {
    let named =
        [("kernel", Some(&config.options.kernel)), ("initrd", config.options.initrd.as_ref())];
    let missing: Vec<_> = named
        .into_iter()
        .filter_map(|(key, path)| Some((key, path?)))
        .filter(|(_, path)| files.open(path).is_err())
        .map(|(key, path)| {
            let message = format!(
                "the {key} that the config names, {}, is missing or cannot be read",
                path.display()
            );
            let remedy = match key {
                "initrd" => {
                    "build it: /etc/kernel/postinst.d/kdump-tools RELEASE on Debian, kdumpctl \
                     rebuild on Fedora, mkdumprd on openSUSE"
                }
                _ => "install that kernel, or set another one in the config",
            };
            Finding::new(Code::FileMissing, message).remedy(remedy)
        })
        .collect();
    if !missing.is_empty() {
        findings.extend(missing);
        return;
    }
    let capture = Capture::wished(files, config);
    capture.look(findings);
    saver::look(root, &capture, findings);
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::initrd::example::archive;

    const CONFIG: &str = "kernel = \"/boot/vmlinuz-{release}\"\n\
                          initrd = \"/boot/initrd-{release}\"\nreuse_cmdline = true\n";

    fn image(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, bytes) in [("etc/kdump-loader.toml", CONFIG.as_bytes())].iter().chain(files) {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        root
    }

    fn found(root: &tempfile::TempDir) -> Vec<Code> {
        files_of_config(root.path()).iter().map(|finding| finding.code).collect()
    }

    #[test]
    fn missing_initrd_in_a_disk_image_is_found() {
        let initrd = archive(&[(saver::NOTE, b"mine\n")]);
        let two = image(&[
            ("boot/vmlinuz-6.1", b"x"),
            ("boot/vmlinuz-6.12", b"x"),
            ("boot/initrd-6.1", &initrd),
        ]);
        let findings = files_of_config(two.path());
        assert_eq!(found(&two), [Code::FileMissing]);
        assert!(findings[0].message.contains("/boot/initrd-6.12,"), "{}", findings[0]);
        fs::write(two.path().join("boot/initrd-6.12"), &initrd).unwrap();
        assert_eq!(found(&two), []);
        fs::create_dir_all(two.path().join("proc/sys/kernel")).unwrap();
        fs::write(two.path().join("proc/sys/kernel/osrelease"), "6.9-of-the-builder\n").unwrap();
        assert_eq!(found(&two), [], "the running kernel is another machine's");
        fs::remove_file(two.path().join("boot/initrd-6.1")).unwrap();
        fs::write(two.path().join("proc/sys/kernel/osrelease"), "6.12\n").unwrap();
        assert_eq!(found(&two), [], "the other kernel does not run");
    }

    #[test]
    fn second_choice_of_kernel_and_initrd_in_a_disk_image_is_found() {
        let config = "kernel = ['/boot/vmlinuz-{release}', '/usr/lib/modules/{release}/vmlinuz']\n\
                      initrd = ['/boot/initrd-{release}', '/var/lib/kdump/initrd-{release}']\n";
        let initrd = archive(&[(saver::NOTE, b"mine\n")]);
        let ostree = image(&[
            ("etc/kdump-loader.toml", config.as_bytes()),
            ("usr/lib/modules/6.12/vmlinuz", b"x"),
            ("usr/lib/modules/6.13/modules.dep", b"x"),
            ("var/lib/kdump/initrd-6.12", &initrd),
        ]);
        assert_eq!(found(&ostree), []);
        fs::remove_file(ostree.path().join("var/lib/kdump/initrd-6.12")).unwrap();
        assert_eq!(found(&ostree), [Code::FileMissing]);
    }

    #[test]
    fn files_that_are_about_to_be_armed_are_looked_at() {
        let kernel = InputFile { path: "/boot/vmlinuz".into(), bytes: b"x".to_vec() };
        let initrd = |files| InputFile { path: "/boot/initrd".into(), bytes: archive(files) };
        let codes = |root: &tempfile::TempDir, initrd: &InputFile, line: &str| {
            let found =
                files_to_arm(Some(root.path()), &kernel, Some(initrd), line.as_bytes()).into_iter();
            found.map(|finding| finding.code).collect::<Vec<_>>()
        };
        let machine = image(&[]);
        let saves = initrd(&[(saver::NOTE, b"mine\n")]);
        assert_eq!(codes(&machine, &saves, "nr_cpus=1"), []);
        let nothing = initrd(&[("init", b"")]);
        assert_eq!(codes(&machine, &nothing, "nr_cpus=1"), [Code::SaverUnknown]);
        let line = "root=/dev/vda1 systemd.unit=kdump-tools-dump.service";
        assert_eq!(codes(&machine, &nothing, line), [Code::SaverMissing]);
        let debian =
            image(&[("usr/lib/systemd/system/kdump-tools-dump.service", b"[Unit]\n".as_slice())]);
        assert_eq!(codes(&debian, &nothing, line), [Code::SaverMissing], "USE_KDUMP is not set");
        fs::create_dir_all(debian.path().join("etc/default")).unwrap();
        fs::write(debian.path().join("etc/default/kdump-tools"), "USE_KDUMP=1\n").unwrap();
        assert_eq!(codes(&debian, &nothing, line), []);
        assert_eq!(files_to_arm(None, &kernel, Some(&nothing), line.as_bytes()), []);
        let elsewhere = |initrd| files_to_arm(None, &kernel, initrd, b"nr_cpus=1")[0].code;
        assert_eq!(elsewhere(Some(&nothing)), Code::SaverUnknown);
        assert_eq!(elsewhere(None), Code::NoUserSpace);
    }

    #[test]
    fn root_kdump_of_opensuse_boots_no_root_file_system() {
        let nothing = archive(&[("init", b"")]);
        let enabled = "etc/systemd/system/multi-user.target.wants/kdump.service";
        let suse = |append: &str| {
            image(&[
                ("etc/kdump-loader.toml", format!("{CONFIG}append = \"{append}\"\n").as_bytes()),
                ("boot/vmlinuz-6.1", b"x"),
                ("boot/initrd-6.1", &nothing),
                ("usr/lib/systemd/system/kdump.service", b"[Unit]\n"),
                (enabled, b""),
            ])
        };
        assert_eq!(found(&suse("")), [Code::SaverUnknown], "its unit only arms");
        assert_eq!(found(&suse("root=kdump")), [Code::SaverUnknown]);
        let fedora = suse("");
        fs::write(fedora.path().join("etc/kdump.conf"), "").unwrap();
        assert_eq!(found(&fedora), [], "its root file system has kdumpctl");
    }

    #[test]
    fn missing_kernel_and_initrd_without_a_saver_are_found() {
        assert_eq!(found(&image(&[])), [Code::FileMissing, Code::FileMissing]);
        let nothing = archive(&[("init", b"")]);
        assert_eq!(
            found(&image(&[("boot/vmlinuz-6.1", b"x"), ("boot/initrd-6.1", &nothing)])),
            [Code::SaverUnknown]
        );
    }
}
