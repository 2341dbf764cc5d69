//! With the real dpkg, on private trees into which packages in the manner of Debian 12's and 13's kexec-tools are installed.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use super::*;

const OURS: &str = "/usr/sbin/kdump-loader";

/// A tree with merged /usr and a dpkg of its own; `None` where there is no dpkg, or not the right to install packages.
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

    /// Installs what owns the link /sbin, which dpkg would remove with the last package that has files there.
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
        command.arg(format!("--root={}", self.0.path().display())).args(["--force-not-root", "--force-bad-path"]);
        command.args(arguments).output().is_ok_and(|output| output.status.success())
    }

    /// Makes and installs a package with kexec at this path; its version is what is in the file.
    fn install(&self, version: &str, path: &str) -> bool {
        let stage = self.at("packages").join(version);
        let file = stage.join(path.trim_start_matches('/'));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, version).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        self.package(&stage, "kexec-tools", version)
    }

    fn package(&self, stage: &Path, name: &str, version: &str) -> bool {
        let control =
            format!("Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: x <x@example.org>\nDescription: x\n");
        fs::create_dir_all(stage.join("DEBIAN")).unwrap();
        fs::write(stage.join("DEBIAN/control"), control).unwrap();
        let package = stage.with_extension("deb");
        let build = Command::new("dpkg-deb").args(["--root-owner-group", "--build"]).arg(stage).arg(&package).output();
        build.is_ok_and(|output| output.status.success()) && self.dpkg(&["--install", package.to_str().unwrap()])
    }

    fn kexec(&self) -> BTreeMap<String, String> {
        let entries = fs::read_dir(self.at("usr/sbin")).unwrap().map(|entry| entry.unwrap());
        let what = |path: PathBuf| match fs::read_link(&path) {
            Ok(target) => format!("-> {}", target.display()),
            Err(_) => fs::read_to_string(path).unwrap(),
        };
        entries.map(|entry| (entry.file_name().into_string().unwrap(), what(entry.path()))).collect()
    }

    fn turn(&self) -> Turn<'_> {
        Turn::wait(self.0.path(), |_| ()).unwrap()
    }

    fn diverted(&self, version: &str) -> bool {
        self.diverted_as("kexec.distrib", version)
    }

    fn diverted_as(&self, name: &str, version: &str) -> bool {
        let expected = [("kexec", format!("-> {OURS}")), (name, version.to_owned())];
        self.kexec() == expected.map(|(name, what)| (name.to_owned(), what)).into()
    }

    fn is_registered(&self) -> bool {
        !Machine::new(&self.turn()).unwrap().diversions().unwrap().is_empty()
    }

    fn plain(&self, version: &str) -> bool {
        self.kexec() == BTreeMap::from([("kexec".to_owned(), version.to_owned())]) && !self.is_registered()
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
fn kexec_of_debian_12_and_13_steps_aside_and_comes_back() {
    for path in ["/sbin/kexec", "/usr/sbin/kexec"] {
        let debian = debian!();
        assert!(debian.install("1", path));
        let dry = divert(&Turn::DryRun { root: debian.0.path() }, Path::new(OURS)).unwrap();
        assert!(debian.plain("1"), "nothing was done");
        assert_eq!(divert(&debian.turn(), Path::new(OURS)).unwrap(), dry);
        assert!(debian.diverted("1"), "{path}: {:?}", debian.kexec());
        assert_eq!(divert(&debian.turn(), Path::new(OURS)).unwrap(), [], "a second run changes nothing");
        undo(&debian.turn()).unwrap();
        assert!(debian.plain("1"), "{path}: {:?}", debian.kexec());
        assert_eq!(undo(&debian.turn()).unwrap(), []);
        assert!(debian.install("2", path) && debian.plain("2"), "dpkg is as before");
    }
}

#[test]
fn upgrade_from_debian_12_to_13_replaces_the_diverted_program() {
    let debian = debian!();
    divert(&debian.turn(), Path::new(OURS)).unwrap();
    assert!(debian.install("12", "/sbin/kexec") && debian.diverted("12"));
    assert!(debian.install("13", "/usr/sbin/kexec"));
    assert!(debian.diverted_as("kexec.distrib.usr", "13"), "{:?}", debian.kexec());
    assert_eq!(divert(&debian.turn(), Path::new(OURS)).unwrap(), [], "a second run changes nothing");
    undo(&debian.turn()).unwrap();
    assert!(debian.plain("13"), "{:?}", debian.kexec());
}

#[test]
fn either_way_can_be_interrupted_and_gone_on_with() {
    let debian = debian!();
    let (path, aside) = (debian.at("sbin/kexec"), debian.at("sbin/kexec.distrib"));
    let machine = Machine::new(&debian.turn()).unwrap();
    let wanted = machine.wanted("/sbin/kexec");
    let diverted = || drop(divert(&debian.turn(), Path::new(OURS)).unwrap());
    let undone = || drop(undo(&debian.turn()).unwrap());
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
    // Undone as far as the file; then one diversion less.
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
    divert(&debian.turn(), Path::new(OURS)).unwrap();
    assert!(debian.dpkg(&["--purge", "kexec-tools"]));
    undo(&debian.turn()).unwrap();
    assert!(debian.kexec().is_empty() && !debian.is_registered());
    let error = divert(&debian.turn(), Path::new(OURS)).unwrap_err().to_string();
    assert!(error.contains("install kexec-tools"), "{error}");
}

#[test]
fn diversion_that_an_administrator_made_for_another_program_is_left_alone() {
    let debian = debian!();
    let machine = Machine::new(&debian.turn()).unwrap();
    machine.dpkg_divert("--add", machine.wanted("/sbin/kexec")[0]).unwrap();
    fs::rename(debian.at("sbin/kexec"), debian.at("sbin/kexec.distrib")).unwrap();
    symlink("kexec.distrib", debian.at("sbin/kexec")).unwrap();
    assert!(!is_diverted(debian.0.path()), "`service uninstall` does not touch it");
    let registered = machine.diversions().unwrap();
    assert!(matches!(divert(&debian.turn(), Path::new(OURS)), Err(Error::NotOurLink { .. })));
    assert_eq!(machine.diversions().unwrap(), registered, "nothing more is diverted");
    assert!(matches!(undo(&debian.turn()), Err(Error::NotOurLink { .. })));
    fs::remove_file(debian.at("sbin/kexec")).unwrap();
    divert(&debian.turn(), Path::new(OURS)).unwrap();
    assert!(is_diverted(debian.0.path()));
}

#[test]
fn what_somebody_else_has_put_in_kexecs_place_stays() {
    let debian = debian!();
    divert(&debian.turn(), Path::new(OURS)).unwrap();
    fs::remove_file(debian.at("sbin/kexec")).unwrap();
    fs::write(debian.at("sbin/kexec"), "mine").unwrap();
    assert!(matches!(undo(&debian.turn()), Err(Error::NotOurLink { .. })));
    assert!(divert(&debian.turn(), Path::new(OURS)).is_err());
    assert_eq!(fs::read_to_string(debian.at("sbin/kexec")).unwrap(), "mine");
}

#[test]
fn file_that_has_the_name_of_the_diverted_program_is_named_before_anything_is_done() {
    for name in ["kexec.distrib", "kexec.distrib.usr"] {
        let debian = debian!();
        fs::write(debian.at("sbin").join(name), "mine").unwrap();
        let before = debian.kexec();
        let error = divert(&debian.turn(), Path::new(OURS)).unwrap_err().to_string();
        assert!(error.contains(&format!("sbin/{name} already exists")), "{error}");
        assert!(debian.kexec() == before && !debian.is_registered(), "{name}");
    }
}
