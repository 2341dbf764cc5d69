//! Finds the kexec for reboots.
//!
//! *On entry* how this program was called. *On exit* another program, never this one under another
//! name.

use std::env;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::NAME;

/// The name of kexec-tools' program after a diversion (dpkg-divert(1)).
const DIVERTED: &str = "kexec.distrib";
/// The same after an upgrade from Debian 12 to 13.
const DIVERTED_USR: &str = "kexec.distrib.usr";
/// PATH if the environment has none.
const DEFAULT_PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
/// Execute permission for any user.
const EXECUTABLE: u32 = 0o111;

/// How this program was called.
#[derive(Debug)]
pub struct Called {
    /// `argv[0]`.
    pub called_as: OsString,
    /// PATH.
    pub path: OsString,
    /// A path to this program's file.
    pub ourselves: PathBuf,
}

impl Called {
    /// The call of the running process.
    pub fn now(ourselves: &str) -> Self {
        Self {
            called_as: env::args_os().next().unwrap_or_default(),
            path: env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into()),
            ourselves: ourselves.into(),
        }
    }

    /// kexec.distrib next to the called name, next to this program's file, or in PATH; otherwise
    /// the first kexec in PATH that is not this program.
    pub fn find(&self) -> Option<PathBuf> {
        let ours = fs::metadata(&self.ourselves).ok()?;
        let name = Path::new(&self.called_as);
        let beside_name =
            name.parent().filter(|directory| directory.is_absolute()).map(Path::to_owned);
        let beside_us = self
            .ourselves
            .canonicalize()
            .ok()
            .and_then(|ourselves| Some(ourselves.parent()?.to_owned()));
        // A relative directory would depend on the caller's working directory.
        let in_path: Vec<PathBuf> =
            env::split_paths(&self.path).filter(|directory| directory.is_absolute()).collect();
        let diverted = beside_name.iter().chain(&beside_us).chain(&in_path);
        let diverted = diverted
            .flat_map(|directory| [DIVERTED, DIVERTED_USR].map(|name| directory.join(name)));
        let others = in_path.iter().map(|directory| directory.join(NAME));
        diverted.chain(others).find(|program| is_another(program, &ours))
    }
}

/// Whether it is an executable file other than this program's.
fn is_another(program: &Path, ours: &Metadata) -> bool {
    fs::metadata(program).is_ok_and(|found| {
        found.is_file()
            && found.mode() & EXECUTABLE != 0
            && (found.dev(), found.ino()) != (ours.dev(), ours.ino())
    })
}

/// The message if there is no other kexec.
pub fn none(because: &str) -> String {
    format!(
        "{because}, but this program only arms capture kernels and found no other kexec (neither \
         {DIVERTED} next to it nor kexec in PATH); install kexec-tools, or set {}=FILE to its \
         program",
        super::ELSEWHERE
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// /local holds this program, /usr the other kexec.
    struct Tree(tempfile::TempDir);

    impl Tree {
        fn new() -> Self {
            let tree = Self(tempfile::tempdir().unwrap());
            fs::create_dir(tree.at("usr")).unwrap();
            fs::create_dir(tree.at("local")).unwrap();
            tree.program("local/kdump-loader");
            tree
        }

        fn at(&self, path: &str) -> PathBuf {
            self.0.path().canonicalize().unwrap().join(path)
        }

        fn program(&self, path: &str) {
            fs::write(self.at(path), "").unwrap();
            fs::set_permissions(self.at(path), fs::Permissions::from_mode(0o755)).unwrap();
        }

        fn ours_as(&self, path: &str) {
            symlink(self.at("local/kdump-loader"), self.at(path)).unwrap();
        }

        fn find(&self, called_as: &str) -> Option<PathBuf> {
            let path = env::join_paths([self.at("usr"), self.at("local")]).unwrap();
            let called_as =
                if called_as.contains('/') { self.at(called_as).into() } else { called_as.into() };
            Called { called_as, path, ourselves: self.at("local/kdump-loader") }.find()
        }
    }

    #[test]
    fn diverted_program_is_found_next_to_the_link_and_in_path() {
        let tree = Tree::new();
        tree.ours_as("usr/kexec");
        assert_eq!(tree.find("kexec"), None, "this program under another name does not count");
        tree.program("usr/kexec.distrib");
        for called in ["kexec", "usr/kexec", "local/kdump-loader", "kdump-loader"] {
            assert_eq!(tree.find(called), Some(tree.at("usr/kexec.distrib")), "{called}");
        }
        fs::create_dir(tree.at("sbin")).unwrap();
        tree.ours_as("sbin/kexec");
        tree.program("sbin/kexec.distrib");
        assert_eq!(
            tree.find("sbin/kexec"),
            Some(tree.at("sbin/kexec.distrib")),
            "the one next to the called name comes first"
        );
    }

    #[test]
    fn next_executable_kexec_in_path_is_found() {
        let tree = Tree::new();
        tree.ours_as("local/kexec");
        fs::write(tree.at("usr/kexec"), "").unwrap();
        assert_eq!(tree.find("kexec"), None);
        tree.program("usr/kexec");
        assert_eq!(tree.find("kexec"), Some(tree.at("usr/kexec")));
    }

    #[test]
    fn working_directory_in_path_is_not_searched() {
        let tree = Tree::new();
        let called = Called {
            called_as: "kexec".into(),
            path: ":.:usr".into(),
            ourselves: tree.at("local/kdump-loader"),
        };
        assert_eq!(called.find(), None);
    }
}
