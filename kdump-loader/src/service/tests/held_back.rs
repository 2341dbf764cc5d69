//! Services and rules of other packages and of the administrator.

use std::process::Command;

use super::*;

#[test]
fn conflicts_are_named_with_path_and_line_until_masked() {
    let root = Root::debian();
    let rule =
        "/usr/lib/udev/rules.d/50-kdump-tools.rules:1: PROGRAM=/usr/sbin/kdump-config try-reload";
    let unit = "/usr/lib/systemd/system/kdump-tools.service: kdump-tools.service";
    let named = conflicting(&root);
    assert!(named.len() == 2 && named[0].contains(unit) && named[1].contains(rule), "{named:?}");
    root.install(false).unwrap();
    assert_eq!(conflicting(&root).len(), 2, "only asked for");
    root.install(true).unwrap();
    assert_eq!(conflicting(&root), [] as [String; 0]);
    assert_eq!(fs::read_link(root.path().join(MASK)).unwrap(), Path::new("/dev/null"));
    root.uninstall().unwrap();
    assert_eq!(conflicting(&root), named);
}

#[test]
fn unit_that_arms_still_saves() {
    let root = Root::debian();
    root.install(true).unwrap();
    assert!(!root.path().join("etc/systemd/system/kdump-tools.service").exists(), "not masked");
    let drop_in = root.text(DROP_IN);
    assert!(
        drop_in.contains("\nConditionPathExists=/proc/vmcore\n")
            && drop_in.contains("\nExecStop=\n"),
        "{drop_in}"
    );
}

#[test]
fn unmasked_unit_arms_first_and_masked_unit_delays_nothing() {
    let root = Root::debian();
    let before = root.contents();
    root.install(false).unwrap();
    assert!(root.text(DROP_IN).contains("\nBefore=kdump-loader.service\n"));
    assert_eq!(conflicting(&root).len(), 2, "both are still there");
    root.install(true).unwrap();
    assert!(!root.text(DROP_IN).contains("Before="));
    assert!(root.text(DROP_IN).contains("\nConditionPathExists=/proc/vmcore\n"));
    let held_back = root.contents();
    assert_eq!(root.install(false).unwrap(), [], "it stays held back");
    assert_eq!(root.contents(), held_back);
    root.uninstall().unwrap();
    assert_eq!(root.contents(), before);
}

#[test]
fn unit_after_basic_target_causes_no_ordering_cycle() {
    let root = Root::new();
    root.file(
        DEBIAN_UNIT,
        "[Unit]\nAfter=basic.target\n[Service]\nType=oneshot\n\
         ExecStart=/usr/sbin/kdump-config load\n[Install]\nWantedBy=multi-user.target\n",
    );
    root.link(
        "etc/systemd/system/multi-user.target.wants/kdump-tools.service",
        &format!("/{DEBIAN_UNIT}"),
    );
    for target in ["basic", "local-fs", "multi-user", "paths", "shutdown", "sysinit"] {
        let name = format!("usr/lib/systemd/system/{target}.target");
        let Ok(text) = fs::read_to_string(Path::new("/").join(&name)) else {
            return eprintln!("skipped: systemd's {target}.target is not here");
        };
        root.file(&name, &text);
    }
    root.install(false).unwrap();
    assert!(root.text(DROP_IN).contains("\nBefore=kdump-loader.service\n"));
    let program = root.at("usr/sbin/kdump-config");
    fs::copy(root.path().join("usr/sbin/kdump-loader"), program).unwrap();
    let path_unit = "usr/lib/systemd/system/kdump-loader-reload.path";
    let ours = root.text(path_unit);
    let makes_cycle = |text: &str| {
        root.file(path_unit, text);
        let below = format!("--root={}", root.path().display());
        let output = Command::new("systemd-analyze")
            .args(["verify", "--man=no", &below, "multi-user.target"])
            .output();
        output.is_ok_and(|output| {
            String::from_utf8_lossy(&output.stderr).contains("Found ordering cycle")
        })
    };
    if !makes_cycle(&ours.replace("DefaultDependencies=no\n", "")) {
        return eprintln!(
            "skipped: there is no systemd-analyze here that finds ordering cycles in a tree"
        );
    }
    assert!(!makes_cycle(&ours));
}

#[test]
fn unit_masked_by_the_administrator_is_no_conflict_and_stays() {
    let root = Root::debian();
    root.link(MASK, "/dev/null");
    root.file(
        "etc/systemd/system/kdump-tools.service.d/mine.conf",
        "[Unit]\nConditionPathExists=/proc/vmcore\n",
    );
    assert_eq!(conflicting(&root), [] as [String; 0]);
    let before = root.contents();
    root.install(true).unwrap();
    root.uninstall().unwrap();
    assert_eq!(root.contents(), before);
}

#[test]
fn disabled_or_masked_unit_is_no_conflict() {
    let root = Root::debian();
    fs::remove_file(root.path().join(DEBIAN_ENABLED)).unwrap();
    assert_eq!(conflicting(&root).len(), 1, "the rule alone");
    root.link(DEBIAN_ENABLED, "/usr/lib/systemd/system/kdump-tools.service");
    root.link("etc/systemd/system/kdump-tools.service", "/dev/null");
    assert_eq!(conflicting(&root).len(), 1);
}

#[test]
fn units_and_rules_of_fedora_and_opensuse_are_found() {
    let root = Root::new();
    for unit in ["kdump.service", "kdump-early.service"] {
        root.file(&format!("usr/lib/systemd/system/{unit}"), "");
        root.file(&format!("usr/lib/systemd/system/{unit}"), "[Service]\nExecStart=/usr/bin/x\n");
        root.link(
            &format!("etc/systemd/system/multi-user.target.wants/{unit}"),
            &format!("/usr/lib/systemd/system/{unit}"),
        );
    }
    root.file(
        "usr/lib/udev/rules.d/98-kexec.rules",
        "\nRUN+=\"/usr/bin/systemd-run --no-block /usr/lib/udev/kdump-udev-throttler\"\n",
    );
    root.file("run/udev/rules.d/70-kdump.rules", "RUN+=\"/usr/lib/kdump/load-once.sh\"\n");
    let named = conflicting(&root).join("\n");
    for words in [
        "kdump.service",
        "kdump-early.service",
        "98-kexec.rules:2:",
        "/run/udev/rules.d/70-kdump.rules:1:",
    ] {
        assert!(named.contains(words), "{words}: {named}");
    }
    let before = root.contents();
    root.install(true).unwrap();
    assert_eq!(conflicting(&root), [] as [String; 0]);
    root.uninstall().unwrap();
    assert_eq!(root.contents(), before);
}

#[test]
fn rule_of_the_administrator_is_an_error_before_any_change() {
    let root = Root::debian();
    root.file(
        "etc/udev/rules.d/90-mine.rules",
        "ACTION==\"add\", RUN+=\"/sbin/kexec -p /boot/x\"\n",
    );
    let before = root.contents();
    let error = root.install(true).unwrap_err();
    assert!(
        matches!(&error, Error::Administrators { path } if path.ends_with("90-mine.rules")),
        "{error}"
    );
    assert_eq!(root.contents(), before);
    root.install(false).unwrap();
}
