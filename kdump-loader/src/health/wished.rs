//! Checks the config's files before they are armed: whether they exist, belong together, and save
//! the dump.
//!
//! The root may be a disk image, made on a machine that runs another kernel. Then each kernel in
//! its /boot is checked.

use std::collections::BTreeSet;
use std::path::Path;

use super::capture::Capture;
use super::files::Files;
use super::saver;
use crate::findings::{Code, Finding};
use crate::options::config::{self, Config};

/// Directory of kernels, and the prefix before the release in their names.
const KERNELS: (&str, &str) = ("boot", "vmlinuz-");

/// Checks the files that the config below `root` names. A missing config is no finding here.
pub fn files_of_config(root: &Path) -> Vec<Finding> {
    let files = Files::new(root);
    let Some(text) = files.text(config::DEFAULT) else { return Vec::new() };
    let mut findings = Vec::new();
    let mut looked_at = BTreeSet::new();
    for release in releases(files, &text) {
        let config = match Config::parse(&text, &release) {
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
        Config::parse(config, release).is_ok_and(|config| files.exists(&config.options.kernel))
    };
    if !running.is_empty() && names_kernel(&running) {
        return vec![running];
    }
    let (directory, prefix) = KERNELS;
    let names = files.names(directory);
    let installed: Vec<String> =
        names.iter().filter_map(|name| name.strip_prefix(prefix)).map(str::to_owned).collect();
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
    use crate::initrd::tests::archive;

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
        assert_eq!(found(&suse("")), [], "its root file system has the unit");
        assert_eq!(found(&suse("root=kdump")), [Code::SaverUnknown]);
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
