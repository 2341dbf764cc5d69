//! Made-up programs on made-up machines.

use std::fs::{self, Permissions};

use super::super::example::Tree;
use super::example::{Elf, INTERPRETER, library};
use super::*;

const PROGRAM: &str = "/usr/bin/makedumpfile";
const MULTIARCH: &str = "usr/lib/x86_64-linux-gnu";
/// What a makedumpfile has that was built with zstd.
const TEXT: &str = "makedumpfile: version 1.7.8 (released on\0lzo\tenabled\0zstd\tenabled\0";

const OURS: Elf = Elf {
    interpreter: Some(INTERPRETER),
    libraries: &["libz.so.1", "libc.so.6"],
    run_path: None,
    text: TEXT,
};

/// A machine with a makedumpfile, its interpreter, and two libraries.
fn machine(program: Elf) -> Tree {
    let tree = Tree::new();
    install(&tree, program);
    tree.plant("usr/lib64/ld-linux-x86-64.so.2", &library(&[]));
    tree.link("lib64", "usr/lib64");
    tree.plant(&format!("{MULTIARCH}/libz.so.1.3"), &library(&["libc.so.6"]));
    tree.link(&format!("{MULTIARCH}/libz.so.1"), &format!("{MULTIARCH}/libz.so.1.3"));
    tree.plant(&format!("{MULTIARCH}/libc.so.6"), &library(&["ld-linux-x86-64.so.2"]));
    tree
}

fn install(tree: &Tree, program: Elf) {
    tree.plant(&PROGRAM[1..], &program.bytes());
    mode(tree, 0o755);
}

fn mode(tree: &Tree, mode: u32) {
    fs::set_permissions(tree.path(&PROGRAM[1..]), Permissions::from_mode(mode)).unwrap();
}

fn refused(tree: &Tree) -> String {
    let error = read(tree.files(), Path::new(PROGRAM), 31).unwrap_err();
    crate::messages::in_full(&error)
}

fn places(made: &Makedumpfile) -> Vec<&str> {
    made.files.iter().map(|file| &*file.place).collect()
}

#[test]
fn program_comes_with_its_interpreter_and_every_library_once() {
    let made = read(machine(OURS).files(), Path::new(PROGRAM), 31).unwrap();
    assert_eq!(
        places(&made),
        ["bin/makedumpfile", "lib64/ld-linux-x86-64.so.2", "lib/libz.so.1", "lib/libc.so.6"]
    );
    assert_eq!(made.arguments, ["-z", "-d", "31"]);
    assert_eq!(made.version, "1.7.8");
    let keys: Vec<&str> = made.files.iter().map(|file| &*file.key).collect();
    assert_eq!(keys[0], KEY);
    assert!(keys[1..].iter().all(|key| key.starts_with(LIBRARY)), "{keys:?}");
    assert!(made.files[2].source.path.ends_with("/libz.so.1"), "a new link is a new file");
}

#[test]
fn library_of_a_library_is_found_where_that_one_says() {
    let tree = machine(Elf { run_path: Some("${ORIGIN}/../own"), ..OURS });
    let own = Elf { libraries: &["libdeep.so"], run_path: Some("$ORIGIN/deep"), ..Elf::default() };
    tree.plant("usr/own/libz.so.1", &own.bytes());
    tree.plant("usr/own/deep/libdeep.so", &library(&[]));
    let made = read(tree.files(), Path::new(PROGRAM), 17).unwrap();
    assert!(places(&made).contains(&"lib/libdeep.so"), "{:?}", places(&made));
    let libz = made.files.iter().find(|file| file.place == "lib/libz.so.1").unwrap();
    assert!(libz.source.path.ends_with("own/libz.so.1"), "before the usual directories");
}

#[test]
fn library_for_another_machine_is_skipped() {
    let tree = machine(OURS);
    tree.write("etc/ld.so.conf", "/lib/i386-linux-gnu\n");
    let mut of_32_bits = library(&[]);
    of_32_bits[4] = 1;
    tree.plant("lib/i386-linux-gnu/libc.so.6", &of_32_bits);
    let made = read(tree.files(), Path::new(PROGRAM), 31).unwrap();
    let libc = made.files.iter().find(|file| file.place == "lib/libc.so.6").unwrap();
    assert!(libc.source.path.contains("x86_64"), "{}", libc.source.path);
}

#[test]
fn missing_library_is_named_with_who_needs_it_and_where_it_was_looked_for() {
    let tree = machine(OURS);
    tree.plant(&format!("{MULTIARCH}/libz.so.1.3"), &library(&["libgone.so.2"]));
    let message = refused(&tree);
    for words in ["libz.so.1.3 needs libgone.so.2", "/lib/x86_64-linux-gnu, ", "install it"] {
        assert!(message.contains(words), "{message}");
    }
    let tree = machine(Elf { interpreter: Some("/lib/ld-musl-x86_64.so.1"), ..OURS });
    assert!(refused(&tree).contains("needs /lib/ld-musl-x86_64.so.1"));
}

#[test]
fn static_program_comes_alone() {
    let tree = machine(Elf { text: TEXT, ..Elf::default() });
    let made = read(tree.files(), Path::new(PROGRAM), 31).unwrap();
    assert_eq!(places(&made), ["bin/makedumpfile"]);
}

#[test]
fn what_is_no_makedumpfile_is_refused() {
    let tree = machine(OURS);
    mode(&tree, 0o644);
    assert!(refused(&tree).contains("is not executable"));
    install(&tree, Elf { text: "busybox", ..OURS });
    assert!(refused(&tree).contains("is not makedumpfile"));
    tree.write(&PROGRAM[1..], "#!/bin/sh\n# makedumpfile: version 1.7.8 (\n");
    mode(&tree, 0o755);
    assert!(refused(&tree).contains("is not a program for x86-64"));
    fs::remove_file(tree.path(&PROGRAM[1..])).unwrap();
    assert!(refused(&tree).contains("cannot read the makedumpfile"));
}
