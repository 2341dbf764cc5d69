//! Whole machines before, during and after an installation.

mod root; // their file systems
mod distributions; // and their settings
mod held_back; // services and rules of others
mod killed; // at every step
mod properties; // arbitrary machines

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;
use root::{Contents, DEBIAN, DEBIAN_ENABLED, DEBIAN_UNIT, DROP_IN, MASK, PROGRAM, Root, choice};

fn conflicting(root: &Root) -> Vec<String> {
    let findings = check(root.path(), PROGRAM, DEBIAN)
        .unwrap()
        .into_iter()
        .filter(|finding| matches!(finding, Finding::Arms(_)));
    findings
        .map(|finding| {
            finding
                .to_string()
                .replace(&root.path().canonicalize().unwrap().display().to_string(), "")
        })
        .collect()
}

#[test]
fn second_installation_changes_nothing() {
    let root = Root::debian();
    assert!(root.install(true).unwrap().len() > 8);
    let once = root.contents();
    assert_eq!(root.install(true).unwrap(), []);
    assert_eq!(root.contents(), once);
    assert!(check(root.path(), PROGRAM, DEBIAN).unwrap().iter().all(Finding::is_right));
}

#[test]
fn files_are_installed_and_units_enabled() {
    let root = Root::new();
    root.install(false).unwrap();
    let contents = root.contents();
    let program = &contents[Path::new("usr/sbin/kdump-loader")];
    assert_eq!((program.0 & 0o7777, program.1.as_slice()), (0o755, PROGRAM.0));
    for (path, target) in [
        (
            "multi-user.target.wants/kdump-loader.service",
            "/usr/lib/systemd/system/kdump-loader.service",
        ),
        (
            "kdump-loader.service.wants/kdump-loader-reload.path",
            "/usr/lib/systemd/system/kdump-loader-reload.path",
        ),
    ] {
        assert_eq!(contents[&Path::new("etc/systemd/system").join(path)].1, target.as_bytes());
        assert!(contents.contains_key(Path::new(target.trim_start_matches('/'))));
    }
    assert!(root.text("etc/kdump-loader.toml").contains("\nkernel = "));
    assert!(root.text("usr/lib/udev/rules.d/40-kdump-loader.rules").contains("reload --queue"));
}

#[test]
fn uninstalling_restores_the_machine() {
    let root = Root::debian();
    // An older program that was copied manually.
    root.file("usr/sbin/kdump-loader", "an older program");
    let before = root.contents();
    root.install(true).unwrap();
    assert_ne!(root.contents(), before);
    root.uninstall().unwrap();
    assert_eq!(root.contents(), before);
    assert_eq!(root.uninstall(), None);
}

#[test]
fn uninstalling_removes_what_leads_to_the_armed_image_and_keeps_recorded_panics() {
    const STATE: &str = "var/lib/kdump-loader";
    const RECORD: &str = "var/lib/kdump-loader/panics/2026-11-29T00-31-25Z/record.json";
    let root = Root::debian();
    let before = root.contents();
    for panicked in [false, true] {
        root.install(true).unwrap();
        for name in ["generation", "armed.json", "harvest.json"] {
            root.file(&format!("{STATE}/{name}"), "7\n");
        }
        fs::create_dir_all(root.path().join(STATE).join("panics")).unwrap();
        if panicked {
            root.file(RECORD, "{}");
        }
        let planned = uninstall(&Access::DryRun { root: root.path() }).unwrap();
        let done = root.uninstall();
        assert_eq!(done, planned);
        let panics = root.path().canonicalize().unwrap().join(STATE).join("panics");
        assert_eq!(done.unwrap().contains(&Done::LeftPanics(panics)), panicked);
        if !panicked {
            assert_eq!(root.contents(), before);
        }
    }
    assert_eq!(root.text(RECORD), "{}");
    let left = fs::read_dir(root.path().join(STATE)).unwrap().count();
    assert_eq!(left, 1, "the folder of panics");
}

#[test]
fn dry_run_reports_the_same_changes_and_writes_nothing() {
    let root = Root::debian();
    let before = root.contents();
    let said = install(&Access::DryRun { root: root.path() }, PROGRAM, choice(true)).unwrap();
    assert_eq!(root.contents(), before);
    assert_eq!(root.install(true).unwrap(), said);
    let with = root.contents();
    let said = uninstall(&Access::DryRun { root: root.path() }).unwrap();
    assert_eq!(root.contents(), with);
    assert_eq!(root.uninstall(), said);
}

#[test]
fn existing_config_stays_unchanged() {
    let root = Root::new();
    root.file("etc/kdump-loader.toml", "kernel = \"/mine\"\n");
    root.install(false).unwrap();
    assert_eq!(root.text("etc/kdump-loader.toml"), "kernel = \"/mine\"\n");
    root.uninstall().unwrap();
    assert_eq!(root.text("etc/kdump-loader.toml"), "kernel = \"/mine\"\n");
}

#[test]
fn changed_config_stays_and_is_named() {
    let root = Root::new();
    root.install(false).unwrap();
    root.file("etc/kdump-loader.toml", "kernel = \"/mine\"\n");
    assert_eq!(root.install(false).unwrap(), [], "nor does a second installation touch it");
    let done = root.uninstall().unwrap();
    let path = root.path().canonicalize().unwrap().join("etc/kdump-loader.toml");
    assert!(done.contains(&Done::Left(path)), "{done:?}");
    assert_eq!(root.text("etc/kdump-loader.toml"), "kernel = \"/mine\"\n");
    assert_eq!(
        root.contents().len(),
        2,
        "the directory and the file: {:?}",
        root.contents().keys()
    );
}

#[test]
fn upgrade_replaces_the_program_and_uninstalling_restores_the_first_file() {
    let root = Root::debian();
    root.file("usr/sbin/kdump-loader", "by hand");
    let before = root.contents();
    root.install(true).unwrap();
    let done = install(&root.access(), Program(b"newer"), choice(true)).unwrap();
    assert_eq!(done.len(), 1, "{done:?}");
    assert!(matches!(done[0], Done::Updated(_)));
    assert_eq!(root.text("usr/sbin/kdump-loader"), "newer");
    root.uninstall().unwrap();
    assert_eq!(root.contents(), before);
}

#[test]
fn files_of_a_package_stay_after_uninstalling() {
    let root = Root::new();
    root.install(false).unwrap();
    // A package installs files, but no ledger.
    for ours in [
        "var/lib/kdump-loader/service.json",
        "etc/systemd/system/multi-user.target.wants/kdump-loader.service",
    ] {
        fs::remove_file(root.path().join(ours)).unwrap();
    }
    fs::remove_dir(root.path().join("var/lib/kdump-loader")).unwrap();
    let before = root.contents();
    assert_eq!(root.install(false).unwrap().len(), 1, "the link that enables it");
    root.uninstall().unwrap();
    assert_eq!(root.contents(), before);
}

#[test]
fn installation_over_a_package_writes_nothing_below_usr() {
    let root = Root::new();
    // The paths in packages (xtask/src/package/contents.rs).
    let packaged = Root::new();
    packaged.install(false).unwrap();
    for path in packaged.contents().keys().filter(|path| packaged.path().join(path).is_file()) {
        let path = path.to_str().unwrap();
        let units_rule_and_program =
            ["usr/lib/systemd/system/", "usr/lib/udev/rules.d/", "usr/sbin/"];
        if units_rule_and_program.iter().any(|directory| path.starts_with(directory)) {
            fs::copy(packaged.path().join(path), root.at(path)).unwrap();
        }
    }
    let below_usr = || {
        root.contents()
            .into_iter()
            .filter(|(path, _)| path.starts_with("usr"))
            .collect::<Contents>()
    };
    let before = below_usr();
    root.install(true).unwrap();
    assert_eq!(below_usr(), before);
    assert!(check(root.path(), PROGRAM, DEBIAN).unwrap().iter().all(Finding::is_right));
}

#[test]
fn directory_in_place_of_a_file_is_an_error_before_any_change() {
    let root = Root::new();
    fs::create_dir_all(root.path().join("usr/sbin/kdump-loader")).unwrap();
    let before = root.contents();
    let error = root.install(false).unwrap_err().to_string();
    assert!(error.contains("usr/sbin/kdump-loader is a directory"), "{error}");
    assert_eq!(root.contents(), before);
}

#[test]
fn file_in_place_of_a_directory_is_an_error_before_any_change() {
    let root = Root::new();
    root.file("etc/systemd", "a file");
    let before = root.contents();
    let error = root.install(false).unwrap_err().to_string();
    assert!(error.contains("etc/systemd is a file"), "{error}");
    assert_eq!(root.contents(), before);
}

#[test]
fn link_out_of_the_root_is_not_followed() {
    let (root, outside) = (Root::new(), Root::new());
    fs::create_dir(root.path().join("usr")).unwrap();
    root.link("usr/sbin", &outside.path().display().to_string());
    let before = root.contents();
    let error = root.install(false).unwrap_err();
    assert!(matches!(error, Error::Outside { .. }), "{error}");
    assert_eq!((root.contents(), outside.contents().len()), (before, 0));
}

#[test]
fn link_inside_the_root_is_followed() {
    // As in Fedora 42 and newer.
    let root = Root::new();
    fs::create_dir_all(root.path().join("usr/bin")).unwrap();
    root.link("usr/sbin", "bin");
    root.install(false).unwrap();
    assert_eq!(root.text("usr/bin/kdump-loader"), "the program");
}

#[test]
fn failed_installation_is_undone_and_names_the_obstacle() {
    let root = Root::debian();
    root.file("usr/sbin/kdump-loader", "by hand");
    let before = root.contents();
    // A directory has the temporary name of the last file. Planning does not check that name.
    let taken = format!("{MASK}.kdump-loader-new");
    fs::create_dir_all(root.at(&taken)).unwrap();
    let with_directory = root.contents();
    let error = root.install(true).unwrap_err();
    assert!(matches!(error, Error::Undone { .. }), "{error:?}");
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("50-kdump-tools.rules"), "{source}");
    assert_eq!(root.contents(), with_directory);
    fs::remove_dir(root.path().join(&taken)).unwrap();
    root.install(true).unwrap();
    root.uninstall().unwrap();
    fs::remove_dir_all(root.path().join("etc/udev")).unwrap();
    assert_eq!(root.contents(), before);
}

#[test]
fn invalid_ledger_is_rejected() {
    let root = Root::new();
    for text in ["{}", "not json", "{\"version\":2,\"entries\":[]}"] {
        root.file("var/lib/kdump-loader/service.json", text);
        assert!(matches!(root.install(false), Err(Error::Garbled { .. })), "{text}");
        assert!(uninstall(&root.access()).is_err(), "{text}");
    }
}

#[test]
fn changed_file_is_not_overwritten() {
    let root = Root::new();
    root.install(false).unwrap();
    root.file("usr/lib/systemd/system/kdump-loader.service", "[Service]\n# mine\n");
    let error = root.install(false).unwrap_err();
    assert!(
        matches!(&error, Error::Changed { path } if path.ends_with("kdump-loader.service")),
        "{error}"
    );
    assert!(
        check(root.path(), PROGRAM, DEBIAN)
            .unwrap()
            .iter()
            .any(|finding| matches!(finding, Finding::Differs(_)))
    );
    root.uninstall().unwrap();
    assert_eq!(root.text("usr/lib/systemd/system/kdump-loader.service"), "[Service]\n# mine\n");
}

#[test]
fn missing_files_are_reported() {
    let root = Root::new();
    let findings = check(root.path(), PROGRAM, DEBIAN).unwrap();
    let missing = |path: &str| {
        findings
            .iter()
            .any(|finding| matches!(finding, Finding::Missing(found) if found.ends_with(path)))
    };
    assert!(
        missing("usr/sbin/kdump-loader")
            && missing("40-kdump-loader.rules")
            && missing("etc/kdump-loader.toml")
    );
    assert_eq!(
        findings.iter().filter(|finding| matches!(finding, Finding::NotEnabled(_))).count(),
        2
    );
}
