//! `[4b]` Parameters of modules, as modprobe(8) would pass them.
//!
//! *On entry* the modules that the initrd has, the configuration of modprobe, and the command lines
//! of the running and the capture kernel. *On exit* what /init passes with each module. The kernel
//! applies `MODULE.PARAMETER=` of its command line only to what it has built in.

use std::collections::BTreeMap;
use std::path::Path;

use loader::cmdline::{self, Base};
use loader::files::identity::FileIdentity;

use super::modules::{Module, underscored};
use crate::health::files::Files;

/// Where modprobe's configuration is. A file hides those of the same name in the directories that
/// follow (`default_config_paths`, libkmod).
const DIRECTORIES: [&str; 5] = [
    "etc/modprobe.d",
    "run/modprobe.d",
    "usr/local/lib/modprobe.d",
    "usr/lib/modprobe.d",
    "lib/modprobe.d",
];
const SUFFIX: &str = ".conf";
/// Commands of a configuration that matter to modules that are loaded by name (modprobe.d(5)).
const OPTIONS: &str = "options";
const INSTALL: &str = "install";

/// What the configuration and the command line say about modules.
#[derive(Debug, Default)]
pub struct Configured {
    /// The parameters of each module that has any, by its name.
    pub parameters: BTreeMap<String, String>,
    /// The files that have some of them, by their names.
    pub files: BTreeMap<String, FileIdentity>,
    /// For the user, in sentences.
    pub notes: Vec<String>,
}

/// Looks for parameters of these modules: in the configuration, then in the running kernel's
/// command line, which modprobe reads as well, then in the capture kernel's. The kernel lets the
/// last one of a name win.
pub fn configured(files: Files<'_>, command_line: &[u8], modules: &[Module]) -> Configured {
    let mut found = Configured::default();
    for (name, directory) in configuration(files) {
        let path = Path::new(directory).join(&name);
        let text = files.text(&path).unwrap_or_default();
        // A backslash continues a line.
        for line in text.replace("\\\n", "").lines() {
            let Some((command, module, rest)) = words(line) else { continue };
            if !modules.iter().any(|known| known.name == module) {
                continue;
            }
            match command {
                OPTIONS => {
                    found.add(&module, rest);
                    let identity = FileIdentity::of(&files.outside(&path)).ok();
                    found.files.extend(identity.map(|identity| (name.clone(), identity)));
                }
                INSTALL => found.notes.push(format!(
                    "/{} has a command to run in place of loading {module}; /init loads it, and \
                     does not run that",
                    path.display()
                )),
                _ => {}
            }
        }
    }
    let running = files.text("proc/cmdline").unwrap_or_default();
    let running = Base::reused(running.trim_end().as_bytes(), "").line;
    for module in modules {
        let own = cmdline::of_module(command_line, &module.name);
        let is_own = |parameter: &String| own.iter().any(|it| name_of(it) == name_of(parameter));
        let mut all = cmdline::of_module(&running, &module.name);
        all.retain(|parameter| !is_own(parameter));
        all.extend(own);
        all.iter().for_each(|parameter| found.add(&module.name, parameter));
    }
    let words = |(module, parameters)| format!("/init loads {module} with {parameters}");
    let notes: Vec<String> = found.parameters.iter().map(words).collect();
    found.notes.extend(notes);
    found
}

impl Configured {
    fn add(&mut self, module: &str, parameters: &str) {
        if parameters.is_empty() {
            return;
        }
        let all = self.parameters.entry(module.to_owned()).or_default();
        if !all.is_empty() {
            all.push(' ');
        }
        all.push_str(parameters);
    }
}

/// A parameter's name, in which a hyphen is an underscore.
fn name_of(parameter: &str) -> String {
    underscored(parameter.split('=').next().unwrap_or_default())
}

/// The names of the configuration's files, in the order in which they are read, and the directory
/// of each.
fn configuration(files: Files<'_>) -> BTreeMap<String, &'static str> {
    let mut all = BTreeMap::new();
    for directory in DIRECTORIES {
        for name in files.names(directory) {
            if name.ends_with(SUFFIX) {
                all.entry(name).or_insert(directory);
            }
        }
    }
    all
}

/// A line's command, its module, and the rest.
fn words(line: &str) -> Option<(&str, String, &str)> {
    let (command, rest) = split(line)?;
    let (module, rest) = split(rest).unwrap_or((rest, ""));
    (!command.starts_with('#')).then(|| (command, underscored(module), rest.trim()))
}

/// The first word, and what follows it.
fn split(text: &str) -> Option<(&str, &str)> {
    text.trim_start().split_once([' ', '\t'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::example::Tree;

    fn module(name: &str) -> Module {
        Module { name: name.into(), path: "/x.ko".into() }
    }

    fn parameters(tree: &Tree, line: &str) -> Vec<(String, String)> {
        let modules = [module("nvme"), module("virtio_blk")];
        configured(tree.files(), line.as_bytes(), &modules).parameters.into_iter().collect()
    }

    fn expected(module: &str, parameters: &str) -> Vec<(String, String)> {
        vec![(module.into(), parameters.into())]
    }

    #[test]
    fn file_in_an_earlier_directory_hides_a_later_one_of_the_same_name() {
        let tree = Tree::new();
        assert_eq!(parameters(&tree, ""), []);
        tree.write("usr/lib/modprobe.d/b.conf", "options nvme b=hidden\n");
        tree.write("etc/modprobe.d/b.conf", "options nvme b=1\n");
        tree.write("lib/modprobe.d/a.conf", "options nvme a=1\n");
        tree.write("run/modprobe.d/c.conf", "options nvme c=1\n");
        tree.write("etc/modprobe.d/d.txt", "options nvme d=1\n");
        assert_eq!(parameters(&tree, ""), expected("nvme", "a=1 b=1 c=1"));
        // An empty file switches off the package's.
        tree.write("etc/modprobe.d/b.conf", "");
        assert_eq!(parameters(&tree, ""), expected("nvme", "a=1 c=1"));
    }

    #[test]
    fn lines_are_read_as_modprobe_reads_them() {
        for (text, found) in [
            ("options virtio-blk a=1 b", "a=1 b"),
            ("options\tvirtio_blk \\\n a=1", "a=1"),
            ("  options virtio_blk  a=\"1 2\"  ", "a=\"1 2\""),
            ("options virtio_blk a=1\noptions virtio_blk a=2", "a=1 a=2"),
            ("# options virtio_blk a=1\noptions virtio_blk b=1", "b=1"),
            ("options virtio_blk2 a=1\nblacklist virtio_blk\noptions virtio_blk c", "c"),
        ] {
            let tree = Tree::new();
            tree.write("etc/modprobe.d/a.conf", text);
            assert_eq!(parameters(&tree, ""), expected("virtio_blk", found), "{text:?}");
        }
        let tree = Tree::new();
        tree.write("etc/modprobe.d/a.conf", "options\noptions virtio_blk\noptions virtio_blk \n");
        assert_eq!(parameters(&tree, ""), []);
    }

    #[test]
    fn command_line_comes_after_the_configuration() {
        let tree = Tree::new();
        tree.write("etc/modprobe.d/a.conf", "options nvme depth=64\n");
        let line = "nvme.depth=32 quiet virtio-blk.x nvme.y=\"a b\" -- nvme.z=1";
        let mut all = expected("nvme", "depth=64 depth=32 y=\"a b\"");
        all.extend(expected("virtio_blk", "x"));
        assert_eq!(parameters(&tree, line), all);
    }

    #[test]
    fn parameters_that_this_machine_was_booted_with_are_passed_unless_the_user_sets_them() {
        let tree = Tree::new();
        tree.write("etc/modprobe.d/a.conf", "options nvme depth=64\n");
        tree.write("proc/cmdline", "root=/dev/vda1 nvme.depth=32 nvme.max-host=4 other.x=1\n");
        assert_eq!(parameters(&tree, ""), expected("nvme", "depth=64 depth=32 max-host=4"));
        let own = parameters(&tree, "nvme.max_host=2");
        assert_eq!(own, expected("nvme", "depth=64 depth=32 max_host=2"));
    }

    #[test]
    fn user_is_told_of_parameters_and_of_commands_that_are_not_run() {
        let tree = Tree::new();
        tree.write("etc/modprobe.d/a.conf", "install nvme /bin/true\noptions nvme depth=64\n");
        tree.write("etc/modprobe.d/b.conf", "install other /bin/true\noptions other x=1\n");
        let found = configured(tree.files(), b"", &[module("nvme")]);
        let [install, options] = &found.notes[..] else { panic!("{:?}", found.notes) };
        assert!(install.contains("/etc/modprobe.d/a.conf") && install.contains("loading nvme"));
        assert_eq!(options, "/init loads nvme with depth=64");
        assert_eq!(found.files.keys().collect::<Vec<_>>(), ["a.conf"]);
    }
}
