//! What is checked.

use anyhow::{Context, Result};
use kdump_loader::black_box::panic::Panic;
use kdump_loader::black_box::saved::{self, Saved};
use kdump_loader::black_box::{self, story};
use kdump_loader::health::last_dump::LastDump;
use kdump_loader::picture;
use loader::image::{RegionSummary, SegmentSummary, SpanSummary, Summary};
use qemu_runner::Outcome;
use qemu_runner::page::{self, Section};

use crate::repository::Repository;

pub struct Subject {
    /// Its name, also of its files.
    pub name: String,
    /// Whether it is a picture alone.
    pub is_picture: bool,
    pub text: String,
}

impl Subject {
    fn picture(name: &str, svg: &str) -> Self {
        let text = format!(
            "<!DOCTYPE html><meta charset='utf-8'><title>t</title>\
             <body style='margin:0'>{svg}"
        );
        Self { name: name.into(), is_picture: true, text }
    }

    fn page(name: &str, text: String) -> Self {
        Self { name: name.into(), is_picture: false, text }
    }
}

fn hotplug() -> Result<Outcome> {
    let text = include_str!("../../../tests/fixtures/outcome-hotplug/outcome.json");
    serde_json::from_str(text).context("the fixture is of another version")
}

fn image() -> Result<Summary> {
    hotplug()?.evidence.image.context("the run armed no image")
}

/// All that must pass.
pub fn all(repo: &Repository) -> Result<Vec<Subject>> {
    let section = |name: &str, result| Section {
        name: name.into(),
        summary: "two DIMMs and a CPU added after arming are in the vmcore".into(),
        result,
    };
    let why = "hotplug: expected <b>1</b>, found 0\n  because: the machine & its DIMMs".to_owned();
    let three = [
        section("hotplug", Ok(hotplug()?)),
        section("again", Ok(hotplug()?)),
        section("failed", Err(why)),
    ];
    let mut all = vec![
        Subject::picture("picture_of_a_foreign_purgatory", &picture::svg(&foreign()?, "plan")),
        Subject::picture("picture_of_an_extreme_image", &picture::svg(&extreme()?, "plan")),
        Subject::page("page_of_three_scenarios", page::html(&three)),
        Subject::page("docs_hotplug", repo.read("docs/hotplug.html")?),
        Subject::page("page_of_a_panic", last_panic()?),
    ];
    for name in ["crash-region", "bench/verify", "storm/storm"] {
        let svg = repo.read(&format!("docs/{name}.svg"))?;
        all.push(Subject::picture(&format!("docs_{}", name.replace('/', "_")), &svg));
    }
    Ok(all)
}

/// `last --html` about a run of the scenario `black-box-hang`, with long and odd lines in its logs.
fn last_panic() -> Result<String> {
    let recorded = include_str!("../../../kdump-loader/tests/program/last/black-box-hang.txt");
    let json = recorded.splitn(3, "\n\n").nth(2).context("the third part is JSON")?;
    let json: serde_json::Value = serde_json::from_str(json)?;
    let mut panic: Panic = serde_json::from_value(json["panics"][0].clone())?;
    panic.notes.push("<b>W</b>".repeat(60));
    let log = format!(
        "[    0.000000] Linux version\n[    1.000000] {}\n[    2.000000] ﬀ漢字 <&>\n\
         [   61.000100] {}\n",
        "0123456789abcdef".repeat(20),
        panic.panic_line.clone().unwrap_or_default()
    );
    let root = tempfile::tempdir()?;
    saved::save(root.path(), &panic, &log.repeat(20), &log)?;
    let saved = Saved::all(root.path());
    let dump = LastDump::NotFound { directory: "/var/crash".into() };
    let told: Vec<_> = saved.iter().map(|saved| (saved, &dump)).collect();
    let later = story::nothing(None);
    // The folder's path is another at each run.
    let root = root.path().display().to_string();
    Ok(black_box::page::html(&told, Some(&later)).replace(&root, ""))
}

/// An image around a purgatory that verifies whole segments, and not the elfcorehdr.
fn foreign() -> Result<Summary> {
    let mut image = image()?;
    let is_verified =
        |segment: &&SegmentSummary| !["elfcorehdr", "purgatory"].contains(&segment.name.as_str());
    let region = |segment: &SegmentSummary| RegionSummary {
        name: segment.name.clone(),
        start: segment.start,
        len: segment.len,
        file_len: segment.len,
        first_leaf: 0,
        leaf_count: 0,
    };
    image.regions = image.segments.iter().filter(is_verified).map(region).collect();
    Ok(Summary { purgatory: "kexec-tools".into(), by_block: None, ..image })
}

/// An image at the top of the address space, with long names full of markup, and sizes from one
/// byte to a terabyte.
fn extreme() -> Result<Summary> {
    let mut image = image()?;
    let mut start = u64::MAX - (1 << 42);
    image.crash_region = SpanSummary { start, len: 1 << 42 };
    image.segments.clear();
    let names = ["W<&>\"'".repeat(9), "MMMMMMMMMMMMMM".into(), "initrd".into(), "ﬀ漢字".into()];
    for (name, len) in names.into_iter().zip([1, 1 << 40, 4095, 1 << 30]) {
        image.segments.push(SegmentSummary { name, start, len, file_len: len / 2 });
        start += len + 1;
    }
    Ok(image)
}

/// What must not pass, and a word of the reason.
pub fn broken() -> Result<Vec<(Subject, &'static str)>> {
    let picture = picture::svg(&image()?, "plan");
    let in_picture = |name: &str, markup: &str| {
        Subject::picture(name, &picture.replace("</svg>", &format!("{markup}</svg>")))
    };
    let page = |name: &str, body: &str| {
        let head = "<!DOCTYPE html><title>t</title><body style='background:#fff'>";
        Subject::page(name, format!("{head}{body}"))
    };
    let on_another = "<text class='name' x='340' y='142'>elfcorehdr</text>";
    let fetched = "<img src='http://127.0.0.1:9/image.png' alt=''>";
    Ok(vec![
        (in_picture("label_on_another", on_another), "overlap"),
        (in_picture("label_outside", "<text x='930' y='60'>far too long</text>"), "outside"),
        (in_picture("pale_label", "<text x='9' y='9' style='fill:#ccc'>pale</text>"), "contrast"),
        (page("pale_word", "<p style='color:#999'>pale</p>"), "contrast"),
        (page("word_on_another", "<p>one</p><p style='margin-top:-2em'>two</p>"), "overlap"),
        (page("small_print", "<p style='font-size:8px'>small</p>"), "small"),
        (page("wide_page", "<p style='width:3000px'>wide</p>"), "wider"),
        (page("fetched_image", fetched), "fetched"),
        (page("script_error", "<p>text</p><script>console.error('oh')</script>"), "console"),
        (page("empty_page", ""), "no text"),
    ])
}
