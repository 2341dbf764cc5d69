//! Findings on a machine from which files of the armed image were removed.

use super::*;

#[test]
fn missing_file_is_found_with_a_remedy_that_does_not_need_it() {
    let armed = Armed::new();
    fs::remove_file(armed.path("vmlinuz")).unwrap();
    let remedy = |armed: &Armed| {
        let [gone] = &armed.findings()[..] else { panic!("{:?}", armed.found()) };
        let said =
            [armed.path("vmlinuz").display().to_string(), "works until the next boot".into()];
        let says = |words: &String| gone.message.contains(words.as_str());
        assert!(gone.code == Code::FileGone && said.iter().all(says), "{gone}");
        gone.remedy.clone().unwrap()
    };
    assert!(remedy(&armed).contains("load with an installed kernel"), "{}", remedy(&armed));
    armed.config("");
    assert!(remedy(&armed).contains("in the config"), "{}", remedy(&armed));
    failure::note(armed.root.path(), "no such file".into()).unwrap();
    let failed = armed.findings().into_iter().find(|finding| finding.code == Code::ReloadFailed);
    assert_eq!(failed.expect("a failed reload").remedy, None, "the next one would fail as well");
}

/// Puts an initrd where the record says that it is in crash memory.
fn hold_in_memory(armed: &Armed, initrd: Vec<u8>, change: impl FnOnce(&mut Record)) {
    const AT: u64 = 0x4000;
    let mut start = 0;
    armed.record(|record| {
        change(record);
        let segments = &mut record.image.as_mut().unwrap().segments;
        let segment = segments.iter_mut().find(|segment| segment.name == "initrd").unwrap();
        (segment.file_len, start) = (initrd.len() as u64, segment.start);
    });
    let mut kcore = example::kcore(&[(AT, start, initrd.len() as u64)]);
    kcore.resize(AT as usize, 0);
    kcore.extend(initrd);
    example::plant(armed.root.path(), &BTreeMap::from([("proc/kcore".to_owned(), kcore)]));
}

#[test]
fn initrd_whose_file_is_gone_is_read_from_crash_memory() {
    let armed = Armed::new();
    let initrd = fs::read(armed.path("boot/initrd")).unwrap();
    fs::remove_file(armed.path("boot/initrd")).unwrap();
    assert_eq!(armed.found(), ["initrd_unreadable"]);
    hold_in_memory(&armed, initrd, |_| ());
    assert_eq!((armed.found(), armed.answer()), (vec![], Answer::Yes));
}

/// The new file saves dumps, but the armed one may not.
#[test]
fn initrd_whose_file_was_replaced_is_read_from_crash_memory() {
    let armed = Armed::new();
    let is_another = |record: &mut Record| {
        let origin = record.origin.as_mut().unwrap();
        let identity =
            FileIdentity { path: "/boot/initrd".into(), ..origin.files["kernel"].clone() };
        origin.files.insert("initrd".into(), identity);
    };
    armed.record(is_another);
    assert_eq!(armed.found(), ["file_gone", "initrd_unreadable"]);
    let without_saver = crate::initrd::example::archive(&[("etc/hostname", b"one\n")]);
    hold_in_memory(&armed, without_saver, is_another);
    assert!(armed.found().contains(&"saver_unknown"), "{:?}", armed.found());
}
