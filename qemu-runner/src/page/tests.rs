//! The page stands alone, and says what it was given.

use super::*;

/// What a real run of the scenario `hotplug` has left; tests/fixtures/README.md says how.
pub(super) fn hotplug() -> Outcome {
    serde_json::from_str(include_str!("../../../tests/fixtures/outcome-hotplug/outcome.json"))
        .unwrap()
}

fn section(name: &str, result: Result<Outcome, String>) -> Section {
    Section { name: name.into(), summary: "two DIMMs and a CPU".into(), result }
}

#[test]
fn page_of_a_real_run_has_every_chapter() {
    let page = html(&[section("hotplug", Ok(hotplug()))]);
    for words in [
        "1 of 1 scenario fulfilled",
        "Two DIMMs and a CPU.",
        "the kernel panics",
        "Every segment is as it was loaded.",
        "Run on 20",
        "hot-added",
        "and nothing else.",
        "Crash region 0x",
        "load: peak resident set",
    ] {
        assert!(page.contains(words), "{words} is missing");
    }
}

#[test]
fn page_fetches_nothing_and_runs_nothing() {
    let page = html(&[section("hotplug", Ok(hotplug()))]);
    for markup in ["<script", "<link", "<img", "<iframe", " src=", "@import", "url(http"] {
        assert!(!page.contains(markup), "{markup}");
    }
    assert!(page.contains(POLICY.replace('\'', "&#39;").as_str()) || page.contains(POLICY));
    let addresses = page.match_indices("http").map(|(at, _)| &page[at..]);
    assert!(addresses.clone().all(
        |rest| rest.starts_with("http://www.w3.org/2000/svg") || rest.starts_with("http-equiv")
    ));
}

#[test]
fn failure_is_shown_verbatim_and_as_text() {
    let page = html(&[
        section("hotplug", Err("expected <b> & found \"c\"".into())),
        section("capture", Ok(hotplug())),
    ]);
    assert!(page.contains("expected &lt;b&gt; &amp; found"), "{page}");
    assert!(page.contains("not fulfilled") && page.contains("1 of 2 scenarios fulfilled"));
}

#[test]
fn what_guests_say_is_text() {
    let mut outcome = hotplug();
    outcome.timeline[0].what = "</li><script>alert(1)</script>".into();
    outcome.facts.push(("<i>".into(), "<u>".into()));
    let page = html(&[section("hotplug", Ok(outcome))]);
    assert!(!page.contains("<script") && !page.contains("<i>") && !page.contains("<u>"));
}

#[test]
fn page_and_picture_in_docs_are_of_the_fixture() {
    let remedy = "`cargo xtask fixture page` draws it anew";
    let scenario = crate::scenarios().iter().find(|scenario| scenario.name == "hotplug").unwrap();
    let page = html(&[Section::new(scenario, Ok(hotplug()))]);
    assert!(
        page == include_str!("../../../docs/hotplug.html"),
        "docs/hotplug.html is another page; {remedy}"
    );
    let picture = kdump_loader::picture::svg(&hotplug().evidence.image.unwrap(), "plan");
    assert!(
        picture == include_str!("../../../docs/crash-region.svg"),
        "docs/crash-region.svg is another picture; {remedy}"
    );
}
