//! Installations that are killed at every system call that changes something, and concurrent ones.

use std::thread;

use super::*;
use crate::service::change::{install_in, uninstall_in};
use crate::service::tree::Tree;

/// More system calls than any change makes.
const MANY: u32 = 500;
/// Another program than [`PROGRAM`].
const NEWER: Program<'static> = Program(b"a newer program");

/// A Debian that already has other files at most paths of the service.
fn machine() -> Root {
    let root = Root::debian();
    root.file("usr/sbin/kdump-loader", "by hand");
    root.file(
        "etc/systemd/system/kdump-tools.service.d/90-kdump-loader.conf",
        "[Unit]\nDescription=mine\n",
    );
    root.link("etc/systemd/system/multi-user.target.wants/kdump-loader.service", "elsewhere");
    // Every machine has this directory.
    fs::create_dir_all(root.path().join("var/lib")).unwrap();
    root
}

/// Runs a change that is killed at its first, second, third… system call, and then each way to
/// recover. The results must be the same as without the kill.
fn killed_everywhere(prepare: fn(&Root), change: fn(&Tree) -> Result<(), Error>, after: fn(&Root)) {
    for lives in 0..MANY {
        let mut ended = false;
        for finish in [false, true] {
            let root = machine();
            let before = root.contents();
            prepare(&root);
            let tree = Tree::new(root.path()).unwrap();
            tree.lives.set(lives);
            ended = change(&tree).is_ok();
            if finish {
                after(&root);
                assert!(
                    check(root.path(), NEWER, DEBIAN).unwrap().iter().all(Finding::is_right),
                    "after {lives} calls"
                );
            }
            root.uninstall();
            assert_eq!(root.contents(), before, "after {lives} calls, finished: {finish}");
        }
        if ended {
            assert!(lives > 3, "the kills took place");
            return;
        }
    }
    panic!("it never ended");
}

fn install_newer(root: &Root) {
    install(&root.access(), NEWER, choice(true)).unwrap();
}

#[test]
fn killed_installation_is_finished_or_rolled_back() {
    killed_everywhere(
        |_| (),
        |tree| install_in(tree, false, NEWER, choice(true)).map(drop),
        install_newer,
    );
}

#[test]
fn killed_upgrade_is_finished_or_rolled_back() {
    let older = |root: &Root| drop(root.install(true).unwrap());
    killed_everywhere(
        older,
        |tree| install_in(tree, false, NEWER, choice(true)).map(drop),
        install_newer,
    );
}

#[test]
fn killed_removal_is_finished_or_installed_again() {
    let installed = |root: &Root| drop(root.install(true).unwrap());
    killed_everywhere(installed, |tree| uninstall_in(tree, false).map(drop), install_newer);
}

#[test]
fn concurrent_runs_leave_a_machine_that_can_be_restored() {
    const ROUNDS: usize = 20;
    let root = machine();
    let before = root.contents();
    for round in 0..ROUNDS {
        thread::scope(|scope| {
            for worker in 0..4 {
                let root = &root;
                scope.spawn(move || {
                    if (worker + round) % 2 == 0 {
                        install(
                            &root.access(),
                            if worker < 2 { PROGRAM } else { NEWER },
                            choice(true),
                        )
                        .unwrap();
                    } else {
                        root.uninstall();
                    }
                });
            }
        });
        root.uninstall();
        assert_eq!(root.contents(), before, "round {round}");
    }
}
