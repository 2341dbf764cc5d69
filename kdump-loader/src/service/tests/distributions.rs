//! Distributions, the settings of their services, and presets.

use std::process::Command;

use super::*;

#[test]
fn unknown_distribution_is_an_error_before_any_change() {
    for text in
        ["ID=arch\n", "ID=alpine\n", "ID=nixos\n", "", "ID=mylinux\nID_LIKE=\"otherlinux\"\n"]
    {
        let root = Root::new();
        root.file("etc/os-release", text);
        let before = root.contents();
        let ask = |distribution| {
            install(&root.access(), PROGRAM, Choice { mask_conflicts: false, distribution })
        };
        let error = ask(None).unwrap_err().to_string();
        assert!(error.contains("--distribution debian, fedora or suse"), "{error}");
        assert_eq!(root.contents(), before);
        ask(Some(Distribution::Fedora)).unwrap();
        assert!(
            root.text("etc/kdump-loader.toml")
                .contains("\ninitrd = [\"/boot/initramfs-{release}kdump.img\"")
        );
        assert_eq!(ask(None).unwrap(), [], "the configuration is there now");
        root.uninstall().unwrap();
        assert_eq!(root.contents(), before);
    }
}

#[test]
fn settings_of_the_replaced_service_are_in_the_config() {
    let root = Root::debian();
    root.file(
        "etc/default/kdump-tools",
        "KDUMP_CMDLINE_APPEND=\"nr_cpus=2 console=ttyS1\"\n\
         KDUMP_SYSCTL=\"kernel.panic_on_oops=1 vm.panic_on_oom=1\"\n",
    );
    let before = root.contents();
    root.install(true).unwrap();
    assert!(
        root.text("etc/kdump-loader.toml")
            .contains("\nappend = \"nr_cpus=2 console=ttyS1\" # taken over\n")
    );
    assert!(
        root.text("etc/sysctl.d/60-kdump-loader.conf")
            .ends_with("\nkernel.panic_on_oops = 1\nvm.panic_on_oom = 1\n")
    );
    assert_eq!(sysctl_keys(root.path()), ["kernel.panic_on_oops", "vm.panic_on_oom"]);
    root.uninstall().unwrap();
    assert_eq!(root.contents(), before);
}

#[test]
fn settings_are_named_if_the_config_already_exists() {
    let root = Root::debian();
    let settings = "KDUMP_KERNEL=/boot/mine\nKDUMP_SYSCTL=\"vm.panic_on_oom=1\"\nFTP=host\n";
    root.file("etc/default/kdump-tools", settings);
    // The config of Debian's package.
    let shipped = include_str!("../dist/kdump-loader.toml");
    root.file("etc/kdump-loader.toml", shipped);
    let remarks = || -> Vec<String> {
        let settings = taken_over(root.path(), DEBIAN).unwrap();
        settings
            .fates
            .iter()
            .map(|fate| fate.to_string().split_once("kdump-tools:").unwrap().1.to_owned())
            .collect()
    };
    let named = remarks();
    assert_eq!(
        named[0],
        "1: not taken over: KDUMP_KERNEL: the config already existed; set kernel in it yourself"
    );
    assert!(
        named[1].starts_with("2: taken over: KDUMP_SYSCTL, as kernel settings") && named.len() == 3,
        "{named:#?}"
    );
    root.install(true).unwrap();
    assert_eq!(root.text("etc/kdump-loader.toml"), shipped);
    assert_eq!(sysctl_keys(root.path()), ["vm.panic_on_oom"]);
    root.uninstall().unwrap();
    fs::remove_file(root.path().join("etc/kdump-loader.toml")).unwrap();
    assert_eq!(remarks()[0], "1: taken over: KDUMP_KERNEL, as kernel");
    root.install(true).unwrap();
    assert!(
        root.text("etc/kdump-loader.toml").contains("\nkernel = \"/boot/mine\" # taken over\n")
    );
    assert_eq!(remarks(), [] as [String; 0], "a second installation takes nothing over");
}

#[test]
fn units_stay_enabled_after_presets_are_applied() {
    let root = Root::new();
    // As on Fedora.
    root.file("usr/lib/systemd/system-preset/99-default-disable.preset", "disable *\n");
    root.install(false).unwrap();
    let links = || {
        root.contents()
            .into_iter()
            .filter(|(path, _)| path.starts_with("etc/systemd"))
            .collect::<Contents>()
    };
    let installed = links();
    let preset_all = || {
        Command::new("systemctl")
            .arg(format!("--root={}", root.path().display()))
            .arg("preset-all")
            .output()
    };
    if preset_all().is_err() {
        return eprintln!("skipped: there is no systemctl here");
    }
    assert_eq!(links().keys().collect::<Vec<_>>(), installed.keys().collect::<Vec<_>>());
    fs::remove_file(root.path().join("etc/systemd/system-preset/80-kdump-loader.preset")).unwrap();
    preset_all().unwrap();
    assert!(links().len() < installed.len(), "without ours it removes them");
}
