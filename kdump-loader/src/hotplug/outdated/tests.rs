//! Changes that are reasons to arm again.

use loader::files::identity::FileIdentity;
use loader::machine::example;

use super::*;
use crate::options::Options;
use crate::options::config::Config;

/// Files in these options are the test machine's own.
const ROOT: &str = "/";
const FOLLOWS: CrashHotplug = CrashHotplug { cpu: Some(true), memory: Some(true) };
const DOES_NOT: CrashHotplug = CrashHotplug { cpu: None, memory: None };

fn range(start: u64, end: u64) -> PhysRange {
    PhysRange::new(start, end).unwrap()
}

fn present() -> Present {
    Present::read(example::tree().path()).unwrap()
}

fn origin() -> Origin {
    Origin::of(
        ROOT.as_ref(),
        &options("kernel = '/dev/null'\ninitrd = '/dev/zero'\nappend = 'a'"),
        Path::new("/proc/self/exe"),
    )
}

fn options(config: &str) -> Options {
    Config::parse(config, "6.12").unwrap().options
}

/// An image that listed the whole machine when it was armed.
fn armed(hotplug: CrashHotplug, listing: Option<Listing>) -> Armed {
    let record = Record {
        version: 1,
        boot_id: String::new(),
        armed_at: 0,
        kernel: String::new(),
        initrd: None,
        hotplug: hotplug.complete(),
        call: Call::KexecLoad,
        command_line: None,
        image: None,
        origin: Some(origin()),
        listing: Some(Listing::of_present(&present())),
        advice: Vec::new(),
    };
    Armed { record: Box::new(record), listing, hotplug, replaced: false }
}

#[test]
fn target_on_another_disk_and_changed_modules_are_reasons() {
    let directory = tempfile::tempdir().unwrap();
    let module = directory.path().join("ext4.ko");
    std::fs::write(&module, "old").unwrap();
    let disk = |uuid: &str| {
        Some(capture_init::Target::Raw { disk: capture_init::DiskId::PartUuid(uuid.into()) })
    };
    let mut made = origin();
    made.options.insert("capture".into(), "/var/crash".into());
    made.files.insert("module ext4".into(), FileIdentity::of(&module).unwrap());
    made.target = disk("one");
    // What is wanted is not resolved as far as modules.
    let mut wished = made.clone();
    wished.files.remove("module ext4");
    let mut armed = armed(FOLLOWS, None);
    armed.record.origin = Some(made);
    assert_eq!(armed.wish_reasons(&wished, FilePolicy::Auto), []);
    wished.target = disk("other");
    let target = "/var/crash".to_owned();
    let reason = [Reason::TargetChanged { target }];
    assert_eq!(armed.wish_reasons(&wished, FilePolicy::Auto), reason);
    // Where it is now is unknown.
    wished.is_silent = true;
    assert_eq!(armed.wish_reasons(&wished, FilePolicy::Auto), []);
    (wished.is_silent, wished.target) = (false, disk("one"));
    std::fs::write(&module, "new, and longer").unwrap();
    let path = module.display().to_string();
    let changed = Reason::FileChanged { what: "module ext4".into(), path };
    let changed = [changed];
    assert_eq!(armed.wish_reasons(&wished, FilePolicy::Auto), changed);
    std::fs::remove_file(&module).unwrap();
    let path = module.display().to_string();
    let gone = [Reason::FileGone { what: "module ext4".into(), path }];
    assert_eq!(armed.wish_reasons(&wished, FilePolicy::Auto), gone);
}

#[test]
fn watchdog_that_init_would_not_feed_is_a_reason_and_one_that_stopped_is_none() {
    let mut made = origin();
    made.watchdogs = vec!["iTCO_wdt".into()];
    let mut armed = armed(FOLLOWS, None);
    armed.record.origin = Some(made.clone());
    let reasons = |watchdogs: &[&str]| {
        let watchdogs = watchdogs.iter().map(|name| (*name).to_owned()).collect();
        armed.wish_reasons(&Origin { watchdogs, ..made.clone() }, FilePolicy::Auto)
    };
    assert_eq!(reasons(&["iTCO_wdt"]), []);
    assert_eq!(reasons(&[]), []);
    let started = Reason::WatchdogStarted { name: "hpwdt".into() };
    assert_eq!(reasons(&["iTCO_wdt", "hpwdt"]), [started]);
}

/// The machine with an added DIMM and CPU.
fn grown() -> Present {
    let mut present = present();
    present.memory.push(range(0x2_0000_0000, 0x2_4000_0000));
    present.cpus.push(loader::machine::CrashNotes { cpu: 3, range: range(0x1000, 0x1170) });
    present
}

/// The machine without one of its DIMMs.
fn shrunk() -> (Present, SpanSummary) {
    let mut present = present();
    let gone = present.memory.pop().unwrap();
    (present, gone.into())
}

#[test]
fn unchanged_machine_gives_no_reason() {
    for hotplug in [FOLLOWS, DOES_NOT] {
        for listing in [None, Some(Listing::of_present(&present()))] {
            assert_eq!(armed(hotplug, listing).machine_reasons(&present(), &[]), []);
        }
    }
    assert_eq!(armed(FOLLOWS, None).wish_reasons(&origin(), FilePolicy::Auto), []);
}

#[test]
fn addition_is_a_reason_unless_the_kernel_has_added_it() {
    let added = [
        Reason::MemoryAdded { range: range(0x2_0000_0000, 0x2_4000_0000).into() },
        Reason::CpuAdded { cpu: 3 },
    ];
    assert_eq!(armed(DOES_NOT, None).machine_reasons(&grown(), &[]), added);
    assert_eq!(armed(FOLLOWS, None).machine_reasons(&grown(), &[]), []);
    // The header counts more than crash_hotplug: the kernel drops an event while its lock is held.
    let listed = Some(Listing::of_present(&present()));
    assert_eq!(armed(FOLLOWS, listed).machine_reasons(&grown(), &[]), added);
    let listed = Some(Listing::of_present(&grown()));
    assert_eq!(armed(DOES_NOT, listed).machine_reasons(&grown(), &[]), []);
}

#[test]
fn removed_memory_is_always_a_reason() {
    let (shrunk, range) = shrunk();
    for hotplug in [FOLLOWS, DOES_NOT] {
        for listing in [None, Some(Listing::of_present(&present()))] {
            assert_eq!(
                armed(hotplug, listing).machine_reasons(&shrunk, &[]),
                [Reason::MemoryRemoved { range }]
            );
        }
    }
}

#[test]
fn removed_block_is_a_reason_if_the_header_cannot_be_read() {
    // The memory was added after the load and removed again. Only the kernel's header has it.
    assert_eq!(
        armed(FOLLOWS, None).machine_reasons(&present(), &[64]),
        [Reason::BlockRemoved { block: 64 }]
    );
    let listed = Some(Listing::of_present(&present()));
    assert_eq!(
        armed(FOLLOWS, listed).machine_reasons(&present(), &[64]),
        [],
        "it can be seen that it is gone"
    );
}

#[test]
fn removed_memory_that_init_leaves_out_is_no_reason() {
    let (shrunk, _) = shrunk();
    for listing in [None, Some(Listing::of_present(&present()))] {
        let mut armed = armed(FOLLOWS, listing);
        armed.record.origin.as_mut().unwrap().skips_removed_memory = true;
        assert_eq!(armed.machine_reasons(&shrunk, &[40]), []);
        // Half a section of it is still there, and the kernel's list of sections has all.
        let mut present = present();
        let last = present.memory.pop().unwrap();
        present.memory.push(range(last.start(), last.end() - SECTION_LEN / 2));
        let half = range(last.end() - SECTION_LEN / 2, last.end()).into();
        let reason = [Reason::MemoryRemoved { range: half }];
        assert_eq!(armed.machine_reasons(&present, &[]), reason);
        // A device took its place, and the list of sections has that.
        let mut taken = shrunk.clone();
        taken.devices.push(range(last.start(), last.start() + (2 << 20)));
        let reason = [Reason::MemoryRemoved { range: last.into() }];
        assert_eq!(armed.machine_reasons(&taken, &[]), reason);
    }
}

#[test]
fn removed_cpu_is_no_reason() {
    let mut present = present();
    present.cpus.pop();
    assert_eq!(armed(DOES_NOT, None).machine_reasons(&present, &[]), []);
}

#[test]
fn changed_option_is_named_by_its_key() {
    let reasons = |config: &str, file| {
        let wished = Origin { options: options(config).words(), ..origin() };
        armed(FOLLOWS, None).wish_reasons(&wished, file)
    };
    let option = |key: &str| Reason::OptionChanged { key: key.into() };
    let config = "kernel = '/dev/null'\ninitrd = '/dev/zero'\n";
    assert_eq!(reasons(&format!("{config}append = 'b'"), FilePolicy::Auto), [option("append")]);
    assert_eq!(reasons(config, FilePolicy::Auto), [option("append")]);
    assert_eq!(
        reasons(&format!("{config}append = 'a'\nengine = 'soft'"), FilePolicy::Auto),
        [option("engine")]
    );
    assert_eq!(
        reasons("kernel = '/dev/null'\nappend = 'a'", FilePolicy::Auto),
        [option("initrd")],
        "and no changed file"
    );
    assert_eq!(
        reasons(&format!("{config}append = 'a'"), FilePolicy::Always),
        [Reason::CallChanged]
    );
    assert_eq!(reasons(&format!("{config}append = 'a'"), FilePolicy::Never), []);
    assert!(option("append").to_string().contains("the config's `append` changed"));
}

#[test]
fn replaced_file_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("initrd");
    std::fs::write(&path, "one").unwrap();
    let options = Options { initrd: Some(path.clone()), ..Options::new("/dev/null".into()) };
    let before = Origin::of(ROOT.as_ref(), &options, Path::new("/dev/null"));
    let mut armed = armed(FOLLOWS, None);
    armed.record.origin = Some(before.clone());
    assert_eq!(
        armed.wish_reasons(
            &Origin::of(ROOT.as_ref(), &options, Path::new("/dev/null")),
            FilePolicy::Auto
        ),
        []
    );
    let changed = [Reason::FileChanged { what: "initrd".into(), path: path.display().to_string() }];
    // Package managers replace the file by a new one, here of the same length.
    let new = directory.path().join("initrd.new");
    std::fs::write(&new, "two").unwrap();
    std::fs::rename(new, &path).unwrap();
    assert_eq!(
        armed.wish_reasons(
            &Origin::of(ROOT.as_ref(), &options, Path::new("/dev/null")),
            FilePolicy::Auto
        ),
        changed
    );
    std::fs::remove_file(&path).unwrap();
    assert_eq!(
        armed.wish_reasons(
            &Origin::of(ROOT.as_ref(), &options, Path::new("/dev/null")),
            FilePolicy::Auto
        ),
        [Reason::FileGone { what: "initrd".into(), path: path.display().to_string() }]
    );
}

#[test]
fn new_loader_is_a_reason() {
    let wished = Origin::of(
        ROOT.as_ref(),
        &options("kernel = '/dev/null'\ninitrd = '/dev/zero'\nappend = 'a'"),
        Path::new("/dev/null"),
    );
    let reasons = armed(FOLLOWS, None).wish_reasons(&wished, FilePolicy::Auto);
    assert!(
        matches!(&reasons[..], [Reason::FileChanged { what, .. }] if what == "program"),
        "{reasons:?}"
    );
}

#[test]
fn record_of_an_older_loader_is_a_reason() {
    let mut armed = armed(FOLLOWS, None);
    (armed.record.origin, armed.record.listing) = (None, None);
    let unknown = [Reason::Unknown { because: Unknown::OlderRecord }];
    assert_eq!(armed.machine_reasons(&present(), &[]), unknown);
    assert_eq!(armed.wish_reasons(&origin(), FilePolicy::Auto), unknown);
}

/// The live machine. Its kernel updates the image or does not, and the recorded image is in memory
/// if `there`.
fn live(follows: &str, there: bool) -> (tempfile::TempDir, Box<Record>) {
    let root = example::tree();
    let machine = example::machine();
    let image = loader::build(&loader::request::example(), &machine).unwrap().summary();
    let mut record = armed(FOLLOWS, None).record;
    // The offset of the block's page in /proc/kcore.
    let block = image.by_block.as_ref().unwrap().block.start;
    let page = block & !0xfff;
    let mut kcore = example::kcore(&[(0x4000, page, 0x1000)]);
    kcore.resize(0x5000, 0);
    if there {
        let at = (0x4000 + block - page) as usize + offset_of!(Block, seal);
        for (index, byte) in kcore[at..at + DIGEST_LEN].iter_mut().enumerate() {
            *byte = u8::from_str_radix(&image.identity[2 * index..2 * index + 2], 16).unwrap();
        }
    }
    let mut files = std::collections::BTreeMap::from([("proc/kcore".to_owned(), kcore)]);
    for subsystem in ["cpu", "memory"] {
        files.insert(
            format!("sys/devices/system/{subsystem}/crash_hotplug"),
            follows.as_bytes().to_vec(),
        );
    }
    example::plant(root.path(), &files);
    record.image = Some(image);
    (root, record)
}

#[test]
fn replacement_by_another_loader_is_noticed() {
    for (follows, there, replaced) in
        [("1\n", true, false), ("0\n", true, true), ("1\n", false, true)]
    {
        let (root, record) = live(follows, there);
        let armed = Armed::find(root.path(), record, &present()).unwrap();
        assert_eq!(armed.replaced, replaced, "kept current: {follows:?}, in its place: {there}");
        let unknown = [Reason::Unknown { because: Unknown::Replaced }];
        assert_eq!(
            armed.machine_reasons(&present(), &[]),
            if replaced { &unknown[..] } else { &[] }
        );
    }
}
