//! The embedded files agree with each other, with the program, and with systemd's rules.

use super::*;
use crate::hotplug::burst;

#[test]
fn links_match_the_install_sections_of_the_units() {
    for (name, text, wanted_by) in OUR_UNITS {
        let asked = text.lines().find_map(|line| line.strip_prefix("WantedBy="));
        assert_eq!(asked, wanted_by, "{name}");
    }
}

#[test]
fn preset_enables_every_unit_that_is_enabled_and_no_other() {
    let enabled: Vec<String> = OUR_UNITS
        .iter()
        .filter(|unit| unit.2.is_some())
        .map(|unit| format!("enable {}", unit.0))
        .collect();
    let preset: Vec<&str> = PRESET_TEXT.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(preset, enabled);
}

#[test]
fn unit_that_arms_requires_no_mount_and_waits_for_no_other_service() {
    let service = OUR_UNITS[0].1;
    // PrivateTmp= and the like require mounts, which are unmounted at shutdown, and the unit
    // with them (systemd.exec(5)).
    for stops in [
        "Requires",
        "BindsTo",
        "PrivateTmp",
        "RootDirectory",
        "RootImage",
        "StateDirectory",
        "CacheDirectory",
        "LogsDirectory",
    ] {
        assert!(!service.lines().any(|line| line.starts_with(stops)), "{stops}");
    }
    assert!(
        service.contains("\nDefaultDependencies=no\n")
            && service.contains("\nIgnoreOnIsolate=yes\n")
    );
    let after: Vec<&str> = service
        .lines()
        .filter_map(|line| line.strip_prefix("After="))
        .flat_map(str::split_whitespace)
        .collect();
    assert!(
        after.iter().all(|unit| unit.ends_with(".mount") || *unit == "local-fs.target"),
        "{after:?}"
    );
}

#[test]
fn units_and_rule_call_the_program_where_it_is_installed() {
    let texts = OUR_UNITS.iter().map(|(_, text, _)| *text).chain([RULE_TEXT]);
    let calls = texts
        .flat_map(str::lines)
        .filter(|line| !line.starts_with('#') && line.contains("/kdump-loader "));
    let calls: Vec<&str> = calls.collect();
    assert_eq!(calls.len(), 7, "{calls:#?}");
    calls.iter().for_each(|line| assert!(line.contains(&format!("/{PROGRAM} ")), "{line}"));
}

#[test]
fn sandbox_lets_capture_read_the_disk_of_its_target() {
    assert!(OUR_UNITS[0].1.contains("\nDeviceAllow=block-* r\n"));
}

#[test]
fn both_services_run_in_the_same_sandbox() {
    let sandbox = |text: &'static str| {
        let start = text.find("# What it does:").unwrap();
        text[start..].split("\n[Install]").next().unwrap().trim_end()
    };
    assert_eq!(sandbox(OUR_UNITS[0].1), sandbox(OUR_UNITS[2].1));
}

#[test]
fn sandbox_leaves_kernels_below_usr_lib_modules_readable_and_loads_no_module() {
    for text in [OUR_UNITS[0].1, OUR_UNITS[2].1] {
        let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key));
        assert_eq!(
            value("ProtectKernelModules="),
            None,
            "it hides /usr/lib/modules (systemd.exec(5))"
        );
        assert!(!value("CapabilityBoundingSet=").unwrap().contains("CAP_SYS_MODULE"));
        assert!(text.contains("\nSystemCallFilter=~@privileged "), "@privileged includes @module");
    }
}

#[test]
fn no_reload_is_killed_during_a_storm() {
    let timeout = |text: &'static str| {
        text.lines().find_map(|line| line.strip_prefix("TimeoutStartSec=")).unwrap()
    };
    // The reload runs until the storm ends. The other service waits for it as long as one burst
    // may take.
    assert_eq!(timeout(OUR_UNITS[2].1), "infinity");
    assert!(timeout(OUR_UNITS[0].1).parse::<u64>().unwrap() > burst::LONGEST.as_secs() * 2);
}

#[test]
fn units_that_the_service_starts_have_its_conditions() {
    let conditions = |text: &'static str| -> Vec<&str> {
        text.lines().filter(|line| line.starts_with("Condition")).collect()
    };
    for index in [1, 3, 4] {
        assert_eq!(conditions(OUR_UNITS[0].1), conditions(OUR_UNITS[index].1));
    }
    assert!(OUR_UNITS[1].1.contains("\nUnit=kdump-loader-reload.service\n"));
}

#[test]
fn shutdown_is_noted_only_if_it_is_one_and_disarms_nothing() {
    let unit: Vec<&str> = OUR_UNITS[3].1.lines().collect();
    // Without default dependencies, nothing but shutdown.target stops it.
    for setting in [
        "DefaultDependencies=no",
        "Conflicts=shutdown.target",
        "Before=shutdown.target",
        "IgnoreOnIsolate=yes",
        "RefuseManualStop=yes",
    ] {
        assert!(unit.contains(&setting), "{setting}");
    }
    for stops in ["Requires", "BindsTo", "PartOf", "PrivateTmp", "StateDirectory"] {
        assert!(!unit.iter().any(|line| line.starts_with(stops)), "{stops}");
    }
    assert!(wanted_by_the_service(OUR_UNITS[3].0));
}

/// Whether the unit that arms starts this unit.
fn wanted_by_the_service(unit: &str) -> bool {
    let wants = OUR_UNITS[0].1.lines().filter_map(|line| line.strip_prefix("Wants="));
    wants.flat_map(str::split_whitespace).any(|wanted| wanted == unit)
}

#[test]
fn only_a_stop_of_the_service_disarms() {
    let (name, text, _) = OUR_UNITS[4];
    let unit: Vec<&str> = text.lines().collect();
    for setting in [
        "PartOf=kdump-loader.service",
        // It stops before the service, so `systemctl stop` waits for it.
        "After=kdump-loader.service",
        "DefaultDependencies=no",
        "IgnoreOnIsolate=yes",
        "RefuseManualStop=yes",
        "RemainAfterExit=yes",
        "ExecStop=/usr/sbin/kdump-loader unload --if-stopped %n",
        "RestrictAddressFamilies=AF_UNIX",
    ] {
        assert!(unit.contains(&setting), "{setting}");
    }
    for stops in ["Conflicts", "Requires", "BindsTo", "PrivateTmp", "StateDirectory"] {
        assert!(!unit.iter().any(|line| line.starts_with(stops)), "{stops}");
    }
    assert!(wanted_by_the_service(name));
    // These stop before it, so that they do not arm again.
    for (reloads, text, _) in &OUR_UNITS[1..3] {
        assert!(
            text.contains("\nAfter=kdump-loader.service kdump-loader-disarm.service\n"),
            "{reloads}"
        );
    }
    // Both would also disarm at a restart.
    for stops in ["ExecStop", "PropagatesStopTo"] {
        assert!(!OUR_UNITS[0].1.lines().any(|line| line.starts_with(stops)), "{stops}");
    }
}

#[test]
fn path_unit_delays_no_boot_target_and_stops_only_at_shutdown() {
    let settings: Vec<&str> = OUR_UNITS[1].1.lines().collect();
    // By default it is Before=paths.target and Conflicts=shutdown.target (systemd.path(5)).
    for setting in [
        "DefaultDependencies=no",
        "Conflicts=shutdown.target",
        "Before=shutdown.target",
        "IgnoreOnIsolate=yes",
    ] {
        assert!(settings.contains(&setting), "{setting}");
    }
}
