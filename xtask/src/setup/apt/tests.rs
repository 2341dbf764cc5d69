//! What is read from apt's output and configuration.

use super::*;

#[test]
fn planned_packages_are_read_with_and_without_an_old_version() {
    let new = "Inst seabios (1.16.3-2~bpo12+1 Debian Backports:oldstable-backports [all])";
    let upgrade = "Inst libfoo:amd64 [1.0-1] (1:2.0-1 Debian:12.15/oldstable [amd64]) []";
    let names = |line| Package::planned(line).map(|package| package.file_name());
    assert_eq!(names(new).unwrap(), "seabios_1.16.3-2~bpo12+1_all.deb");
    assert_eq!(names(upgrade).unwrap(), "libfoo_1%3a2.0-1_amd64.deb");
    assert_eq!(Package::planned(upgrade).unwrap().spec(), "libfoo=1:2.0-1");
    assert_eq!(names("Conf seabios (1.16.3-2~bpo12+1 x [all])"), None);
}

#[test]
fn debians_archive_is_found_among_others_of_the_same_suite() {
    let listed = "mirror:/other/|Other|Other|bookworm|main|/nonexistent:1\n\
        mirror:/debian/|Debian|Debian|bookworm-updates|main|/nonexistent:2\n\
        mirror:/newer/|Debian|Debian|trixie|main|/nonexistent:2\n\
        mirror:/debian/|Debian|Debian|bookworm|main|/nonexistent:2\n\
        mirror:/security/|Debian|Debian-Security|bookworm-security|main|/nonexistent:3\n";
    let archive = Archive::among(listed, "ID=debian\nVERSION_CODENAME=\"bookworm\"\n").unwrap();
    assert_eq!(archive.main.uri, "mirror:/debian/");
    assert_eq!(archive.codename, "bookworm");
    assert_eq!(archive.sources("sid", BINARIES).matches("main\n").count(), 1);
    let guests = archive.sources("trixie", BINARIES);
    assert!(guests.contains("mirror:/security/ trixie-security") && !guests.contains("book"));
    assert!(Archive::among("mirror:/|Ubuntu|Ubuntu|noble|main|/:1\n", "").is_none());
}

#[test]
fn the_key_comes_from_its_own_entry() {
    let deb822 = "# one\nTypes: deb\nSigned-By: /one.gpg\n\nTypes: deb\nSigned-By:\n /two.gpg\n";
    let lines = "deb mirror:/ x main\ndeb [arch=amd64 signed-by=/k.gpg] mirror:/ x main\n";
    for (text, is_deb822, number, key) in [
        (deb822, true, 1, Some("/one.gpg")),
        (deb822, true, 2, Some("/two.gpg")),
        (deb822, true, 3, None),
        (lines, false, 1, None),
        (lines, false, 2, Some("/k.gpg")),
    ] {
        assert_eq!(key_in(text, is_deb822, number).as_deref(), key, "{number} of {text}");
    }
}
