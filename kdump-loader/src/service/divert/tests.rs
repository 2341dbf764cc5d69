//! Diversions with the real dpkg, on private trees with packages modeled on kexec-tools of Debian
//! 12 and 13.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use super::*;

const OURS: &str = "/usr/sbin/kdump-loader";

/// A tree with merged /usr and its own dpkg database; `None` without dpkg, or without permission to
/// install packages.
struct Debian(tempfile::TempDir);

impl Debian {
    fn new() -> Option<Self> {
        let debian = Self(tempfile::tempdir().unwrap());
        for directory in ["usr/sbin", "var/lib/dpkg/info", "var/lib/dpkg/updates", "packages"] {
            fs::create_dir_all(debian.at(directory)).unwrap();
        }
        symlink("usr/sbin", debian.at("sbin")).unwrap();
        for file in ["status", "available"] {
            fs::write(debian.at("var/lib/dpkg").join(file), "").unwrap();
        }
        let usable = debian.install_base() && debian.install("0", "/sbin/kexec");
        usable.then_some(debian)
    }

    /// Installs a package that owns the link /sbin. Otherwise dpkg would remove the link with the
    /// last package that has files there.
    fn install_base(&self) -> bool {
        let stage = self.at("packages/base");
        fs::create_dir_all(stage.join("usr/sbin")).unwrap();
        symlink("usr/sbin", stage.join("sbin")).unwrap();
        self.package(&stage, "base-files", "1")
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn dpkg(&self, arguments: &[&str]) -> bool {
        let mut command = Command::new("dpkg");
        command
            .arg(format!("--root={}", self.0.path().display()))
            .args(["--force-not-root", "--force-bad-path"]);
        command.args(arguments).output().is_ok_and(|output| output.status.success())
    }

    /// Builds and installs a package with kexec at this path. The file contains the version.
    fn install(&self, version: &str, path: &str) -> bool {
        let stage = self.at("packages").join(version);
        let file = stage.join(path.trim_start_matches('/'));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, version).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        self.package(&stage, "kexec-tools", version)
    }

    fn package(&self, stage: &Path, name: &str, version: &str) -> bool {
        let control = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: all\n\
             Maintainer: x <x@example.org>\nDescription: x\n"
        );
        fs::create_dir_all(stage.join("DEBIAN")).unwrap();
        fs::write(stage.join("DEBIAN/control"), control).unwrap();
        let package = stage.with_extension("deb");
        let build = Command::new("dpkg-deb")
            .args(["--root-owner-group", "--build"])
            .arg(stage)
            .arg(&package)
            .output();
        build.is_ok_and(|output| output.status.success())
            && self.dpkg(&["--install", package.to_str().unwrap()])
    }

    fn kexec(&self) -> BTreeMap<String, String> {
        let entries = fs::read_dir(self.at("usr/sbin")).unwrap().map(|entry| entry.unwrap());
        let what = |path: PathBuf| match fs::read_link(&path) {
            Ok(target) => format!("-> {}", target.display()),
            Err(_) => fs::read_to_string(path).unwrap(),
        };
        entries
            .map(|entry| (entry.file_name().into_string().unwrap(), what(entry.path())))
            .collect()
    }

    fn access(&self) -> Access<'_> {
        Access::lock(self.0.path(), |_| ()).unwrap()
    }

    fn diverted(&self, version: &str) -> bool {
        self.diverted_as("kexec.distrib", version)
    }

    fn diverted_as(&self, name: &str, version: &str) -> bool {
        let expected = [("kexec", format!("-> {OURS}")), (name, version.to_owned())];
        self.kexec() == expected.map(|(name, what)| (name.to_owned(), what)).into()
    }

    fn is_registered(&self) -> bool {
        !Machine::new(&self.access()).unwrap().diversions().unwrap().is_empty()
    }

    fn plain(&self, version: &str) -> bool {
        self.kexec() == BTreeMap::from([("kexec".to_owned(), version.to_owned())])
            && !self.is_registered()
    }
}

/// Skipped without dpkg.
macro_rules! debian {
    () => {
        match Debian::new() {
            Some(debian) => debian,
            None => return eprintln!("skipped: packages cannot be installed in a tree here"),
        }
    };
}

#[test]
fn kexec_of_debian_12_and_13_is_diverted_and_restored() {
    for path in ["/sbin/kexec", "/usr/sbin/kexec"] {
        let debian = debian!();
        assert!(debian.install("1", path));
        let dry = divert(&Access::DryRun { root: debian.0.path() }, Path::new(OURS)).unwrap();
        assert!(debian.plain("1"), "nothing was done");
        assert_eq!(divert(&debian.access(), Path::new(OURS)).unwrap(), dry);
        assert!(debian.diverted("1"), "{path}: {:?}", debian.kexec());
        assert_eq!(
            divert(&debian.access(), Path::new(OURS)).unwrap(),
            [],
            "a second run changes nothing"
        );
        undo(&debian.access()).unwrap();
        assert!(debian.plain("1"), "{path}: {:?}", debian.kexec());
        assert_eq!(undo(&debian.access()).unwrap(), []);
        assert!(debian.install("2", path) && debian.plain("2"), "dpkg is as before");
    }
}

#[test]
fn upgrade_from_debian_12_to_13_replaces_the_diverted_program() {
    let debian = debian!();
    divert(&debian.access(), Path::new(OURS)).unwrap();
    assert!(debian.install("12", "/sbin/kexec") && debian.diverted("12"));
    assert!(debian.install("13", "/usr/sbin/kexec"));
    assert!(debian.diverted_as("kexec.distrib.usr", "13"), "{:?}", debian.kexec());
    assert_eq!(
        divert(&debian.access(), Path::new(OURS)).unwrap(),
        [],
        "a second run changes nothing"
    );
    undo(&debian.access()).unwrap();
    assert!(debian.plain("13"), "{:?}", debian.kexec());
}

#[test]
fn interrupted_diversion_and_undo_can_be_finished() {
    let debian = debian!();
    let (path, aside) = (debian.at("sbin/kexec"), debian.at("sbin/kexec.distrib"));
    let machine = Machine::new(&debian.access()).unwrap();
    let wanted = machine.wanted("/sbin/kexec");
    let diverted = || drop(divert(&debian.access(), Path::new(OURS)).unwrap());
    let undone = || drop(undo(&debian.access()).unwrap());
    // One diversion is registered; then both; then the program has both names.
    for steps in 0..3 {
        for finish in [true, false] {
            machine.dpkg_divert("--add", wanted[0]).unwrap();
            if steps > 0 {
                machine.dpkg_divert("--add", wanted[1]).unwrap();
            }
            if steps > 1 {
                fs::hard_link(&path, &aside).unwrap();
            }
            if finish {
                diverted();
                assert!(debian.diverted("0"), "after {steps}: {:?}", debian.kexec());
            }
            undone();
            assert!(debian.plain("0"), "after {steps}: {:?}", debian.kexec());
        }
    }
    // The file is restored; then one diversion is also removed.
    for steps in 0..2 {
        diverted();
        fs::rename(&aside, &path).unwrap();
        if steps > 0 {
            machine.dpkg_divert("--remove", wanted[0]).unwrap();
        }
        undone();
        assert!(debian.plain("0"), "after {steps}: {:?}", debian.kexec());
    }
}

#[test]
fn package_that_was_removed_meanwhile_leaves_no_link() {
    let debian = debian!();
    divert(&debian.access(), Path::new(OURS)).unwrap();
    assert!(debian.dpkg(&["--purge", "kexec-tools"]));
    undo(&debian.access()).unwrap();
    assert!(debian.kexec().is_empty() && !debian.is_registered());
    let error = divert(&debian.access(), Path::new(OURS)).unwrap_err().to_string();
    assert!(error.contains("install kexec-tools"), "{error}");
}

#[test]
fn diversion_to_another_program_is_left_alone() {
    let debian = debian!();
    let machine = Machine::new(&debian.access()).unwrap();
    machine.dpkg_divert("--add", machine.wanted("/sbin/kexec")[0]).unwrap();
    fs::rename(debian.at("sbin/kexec"), debian.at("sbin/kexec.distrib")).unwrap();
    symlink("kexec.distrib", debian.at("sbin/kexec")).unwrap();
    assert!(!is_diverted(debian.0.path()), "`service uninstall` does not touch it");
    let registered = machine.diversions().unwrap();
    assert!(matches!(divert(&debian.access(), Path::new(OURS)), Err(Error::NotOurLink { .. })));
    assert_eq!(machine.diversions().unwrap(), registered, "nothing more is diverted");
    assert!(matches!(undo(&debian.access()), Err(Error::NotOurLink { .. })));
    fs::remove_file(debian.at("sbin/kexec")).unwrap();
    divert(&debian.access(), Path::new(OURS)).unwrap();
    assert!(is_diverted(debian.0.path()));
}

#[test]
fn foreign_file_in_place_of_the_link_stays() {
    let debian = debian!();
    divert(&debian.access(), Path::new(OURS)).unwrap();
    fs::remove_file(debian.at("sbin/kexec")).unwrap();
    fs::write(debian.at("sbin/kexec"), "mine").unwrap();
    assert!(matches!(undo(&debian.access()), Err(Error::NotOurLink { .. })));
    assert!(divert(&debian.access(), Path::new(OURS)).is_err());
    assert_eq!(fs::read_to_string(debian.at("sbin/kexec")).unwrap(), "mine");
}

#[test]
fn taken_name_of_the_diverted_program_is_an_error_before_any_change() {
    for name in ["kexec.distrib", "kexec.distrib.usr"] {
        let debian = debian!();
        fs::write(debian.at("sbin").join(name), "mine").unwrap();
        let before = debian.kexec();
        let error = divert(&debian.access(), Path::new(OURS)).unwrap_err().to_string();
        assert!(error.contains(&format!("sbin/{name} already exists")), "{error}");
        assert!(debian.kexec() == before && !debian.is_registered(), "{name}");
    }
}
