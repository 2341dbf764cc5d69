//! Whatever was there before: twice is once, taken back is as before, refused is untouched, and killed in the middle can be undone.

use proptest::prelude::*;

use super::*;
use crate::service::layout;
use crate::service::ledger;
use crate::service::tree::Tree;

/// How many files and links are written on a Debian.
const PLACES: usize = 12;

/// What may lie where the service goes.
#[derive(Clone, Debug)]
enum Before {
    Nothing,
    /// A file of somebody's.
    File(Vec<u8>, bool),
    /// What is going to be there.
    Same,
    /// A link of somebody's.
    Link(&'static str),
    /// Something in the way.
    Directory,
}

fn before() -> impl Strategy<Value = Before> {
    prop_oneof![
        6 => Just(Before::Nothing),
        3 => (prop::collection::vec(any::<u8>(), 0..8), any::<bool>()).prop_map(|(bytes, mode)| Before::File(bytes, mode)),
        2 => Just(Before::Same),
        2 => prop::sample::select(vec!["/dev/null", "nowhere", "/usr/lib/systemd/system/kdump-loader.service"]).prop_map(Before::Link),
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
                fs::set_permissions(&path, fs::Permissions::from_mode(if *executable { 0o755 } else { 0o644 })).unwrap();
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
    fn taken_back_is_as_it_was(befores in prop::collection::vec(before(), PLACES), debian: bool, mask: bool) {
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

    /// The ledger is written first. Whatever part of the rest was done when the machine lost its power, it can be taken back, or gone on with.
    #[test]
    fn killed_in_the_middle_can_be_undone_and_finished(
        befores in prop::collection::vec(before(), PLACES), debian: bool, undone in prop::collection::vec(0..3, 32), finish: bool,
    ) {
        let root = machine(&befores, debian);
        let before = root.contents();
        if root.install(true).is_err() || !root.path().join(ledger::PATH).exists() {
            return Ok(());
        }
        let whole = root.contents();
        let tree = Tree::new(root.path()).unwrap();
        let entries = ledger::Ledger::read(&tree).unwrap().unwrap().entries;
        for (entry, undone) in entries.iter().filter(|entry| entry.made != ledger::Made::Directory).zip(undone) {
            match (undone, entry.kept) {
                (0, _) => {}
                // Killed before it was kept, or written.
                (_, false) => tree.remove(&entry.path).unwrap(),
                (1, true) => tree.restore(&entry.path).unwrap(),
                // Killed between keeping and replacing: both names are the old file's.
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
