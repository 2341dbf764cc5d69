//! What is looked at.

use kdump_loader::picture;
use loader::image::{RegionSummary, SegmentSummary, SpanSummary, Summary};
use qemu_runner::Outcome;
use qemu_runner::page::{self, Section};

/// Something to be looked at.
pub struct Subject {
    /// A name for the test and for files.
    pub name: String,
    /// Of its file.
    pub extension: &'static str,
    /// What is in the file.
    pub text: String,
}

impl Subject {
    fn picture(name: &str, summary: &Summary) -> Self {
        Self { name: name.into(), extension: "svg", text: picture::svg(summary, "plan") }
    }

    fn page(name: &str, sections: &[Section]) -> Self {
        Self { name: name.into(), extension: "html", text: page::html(sections) }
    }
}

/// What a real run of the scenario `hotplug` has left.
fn hotplug() -> Outcome {
    serde_json::from_str(include_str!("../fixtures/outcome-hotplug/outcome.json")).expect("a runner of this version wrote it")
}

fn image() -> Summary {
    hotplug().evidence.image.expect("the run armed an image")
}

/// All that must pass.
pub fn all() -> Vec<Subject> {
    let section = |name: &str, result| Section {
        name: name.into(),
        summary: "two DIMMs and a CPU added after arming are in the vmcore".into(),
        result,
    };
    let failure = Err("hotplug: expected <b>1</b>, found 0\n  because: the machine & its DIMMs".to_owned());
    vec![
        Subject::picture("picture", &image()),
        Subject::picture("picture_of_an_image_around_anothers_purgatory", &foreign()),
        Subject::picture("picture_of_an_extreme_image", &extreme()),
        Subject::page("page", &[section("hotplug", Ok(hotplug()))]),
        Subject::page(
            "page_of_three_scenarios",
            &[section("hotplug", Ok(hotplug())), section("again", Ok(hotplug())), section("failed", failure)],
        ),
    ]
}

/// An image in which the purgatory verifies whole segments, and not the elfcorehdr.
fn foreign() -> Summary {
    let mut image = image();
    let verified = image.segments.iter().filter(|segment| !["elfcorehdr", "purgatory"].contains(&segment.name.as_str()));
    let region = |segment: &SegmentSummary| RegionSummary {
        name: segment.name.clone(),
        start: segment.start,
        len: segment.len,
        file_len: segment.len,
        first_leaf: 0,
        leaf_count: 0,
    };
    image.regions = verified.map(region).collect();
    Summary { purgatory: "kexec-tools".into(), by_block: None, ..image }
}

/// An image at the top of the address space, with long names full of markup and sizes from one byte to terabytes.
fn extreme() -> Summary {
    let mut image = image();
    let mut start = u64::MAX - (1 << 42);
    image.crash_region = SpanSummary { start, len: 1 << 42 };
    image.segments.clear();
    for (name, len) in
        [("W<&>\"'".repeat(9), 1), ("MMMMMMMMMMMMMM".into(), 1 << 40), ("initrd".into(), 4095), ("ﬀ漢字".into(), 1 << 30)]
    {
        image.segments.push(SegmentSummary { name, start, len, file_len: len / 2 });
        start += len + 1;
    }
    image
}

/// What must not pass, and a word of the reason.
pub fn broken() -> Vec<(Subject, &'static str)> {
    let subject = |name: &str, extension, text: String| Subject { name: name.into(), extension, text };
    let picture = || picture::svg(&image(), "plan");
    let in_picture = |name: &str, markup: &str| subject(name, "svg", picture().replace("</svg>", &format!("{markup}</svg>")));
    let page = |name: &str, body: &str| {
        subject(name, "html", format!("<!DOCTYPE html><title>t</title><body style='background:#fff'>{body}"))
    };
    vec![
        (in_picture("label_on_another", "<text class='name' x='340' y='142'>elfcorehdr</text>"), "overlap"),
        (in_picture("label_outside", "<text class='name' x='930' y='60'>far too long</text>"), "outside"),
        (in_picture("pale_label", "<text x='500' y='60' style='fill:#c0c0c0'>pale</text>"), "contrast"),
        (page("pale_word", "<p style='color:#999'>pale</p>"), "contrast"),
        (page("word_on_another", "<p>one</p><p style='margin-top:-2em'>two</p>"), "overlap"),
        (page("small_print", "<p style='font-size:8px'>small</p>"), "small"),
        (page("wide_page", "<p style='width:3000px'>wide</p>"), "wider"),
        (page("fetched_image", "<img src='http://127.0.0.1:9/image.png' alt=''>"), "fetched"),
        (page("script_error", "<p>text</p><script>console.error('oh')</script>"), "console"),
        (page("empty_page", ""), "no text"),
    ]
}
