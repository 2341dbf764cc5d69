//! Properties on arbitrary machines: a second run changes nothing, uninstalling restores the
//! machine, an error changes nothing, and a killed run can be rolled back.

use proptest::prelude::*;

use super::*;
use crate::service::layout;
use crate::service::ledger;
use crate::service::tree::Tree;

/// How many files and links are written on a Debian.
const PLACES: usize = 14;

/// A file, link or obstacle at a path of the service before the installation.
#[derive(Clone, Debug)]
enum Before {
    Nothing,
    /// Another file.
    File(Vec<u8>, bool),
    /// The file that will be installed.
    Same,
    /// Another link.
    Link(&'static str),
    /// An obstacle.
    Directory,
}

fn before() -> impl Strategy<Value = Before> {
    prop_oneof![
        6 => Just(Before::Nothing),
        3 => (prop::collection::vec(any::<u8>(), 0..8), any::<bool>())
            .prop_map(|(bytes, mode)| Before::File(bytes, mode)),
        2 => Just(Before::Same),
        2 => prop::sample::select(vec![
            "/dev/null",
            "nowhere",
            "/usr/lib/systemd/system/kdump-loader.service",
        ])
        .prop_map(Before::Link),
        1 => Just(Before::Directory),
    ]
}

/// Everything that may be written, on a Debian.
fn places() -> Vec<layout::Item> {
    let root = Root::debian();
    let tree = Tree::new(root.path()).unwrap();
    let mut items = layout::of(&tree, PROGRAM, DEBIAN).unwrap();
    items.extend(conflicts::all(&tree).unwrap().iter().map(|conflict| conflict.remedy().unwrap()));
    assert_eq!(items.len(), PLACES);
    items
}

fn machine(befores: &[Before], debian: bool) -> Root {
    let root = if debian { Root::debian() } else { Root::new() };
    for (item, before) in places().into_iter().zip(befores) {
        let path = root.path().join(&item.path);
        match before {
            Before::Nothing => {}
            Before::File(bytes, executable) => {
                root.file(&item.path, "");
                fs::write(&path, bytes).unwrap();
                fs::set_permissions(
                    &path,
                    fs::Permissions::from_mode(if *executable { 0o755 } else { 0o644 }),
                )
                .unwrap();
            }
            Before::Same => match item.content {
                layout::Content::File { bytes, mode } => {
                    root.file(&item.path, "");
                    fs::write(&path, bytes).unwrap();
                    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
                }
                layout::Content::Link { target } => root.link(&item.path, target.to_str().unwrap()),
            },
            Before::Link(target) => root.link(&item.path, target),
            Before::Directory => fs::create_dir_all(path).unwrap(),
        }
    }
    root
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn uninstalling_restores_any_tree(
        befores in prop::collection::vec(before(), PLACES),
        debian: bool,
        mask: bool,
    ) {
        let root = machine(&befores, debian);
        let before = root.contents();
        if root.install(mask).is_err() {
            prop_assert_eq!(root.contents(), before);
            return Ok(());
        }
        let once = root.contents();
        prop_assert_eq!(root.install(mask).unwrap(), []);
        prop_assert_eq!(root.contents(), once);
        root.uninstall();
        prop_assert_eq!(root.contents(), before);
    }

    /// The ledger is written first. If the machine loses power later, the installation can be
    /// rolled back or finished.
    #[test]
    fn killed_run_can_be_rolled_back_and_finished(
        befores in prop::collection::vec(before(), PLACES),
        debian: bool,
        undone in prop::collection::vec(0..3, 32),
        finish: bool,
    ) {
        let root = machine(&befores, debian);
        let before = root.contents();
        if root.install(true).is_err() || !root.path().join(ledger::PATH).exists() {
            return Ok(());
        }
        let whole = root.contents();
        let tree = Tree::new(root.path()).unwrap();
        let entries = ledger::Ledger::read(&tree).unwrap().unwrap().entries;
        for (entry, undone) in
            entries.iter().filter(|entry| entry.made != ledger::Made::Directory).zip(undone)
        {
            match (undone, entry.kept) {
                (0, _) => {}
                // Killed before the old file was kept.
                (_, false) => tree.remove(&entry.path).unwrap(),
                (1, true) => tree.restore(&entry.path).unwrap(),
                // Killed between keeping and replacing: the old file has both names.
                (_, true) => {
                    tree.restore(&entry.path).unwrap();
                    tree.keep(&entry.path).unwrap();
                }
            }
        }
        if finish {
            root.install(true).unwrap();
            prop_assert_eq!(root.contents(), whole);
        }
        root.uninstall();
        prop_assert_eq!(root.contents(), before);
    }
}
