//! The drawing is well-formed, needs no other file, and has exactly the given text.

use loader::image::Summary;
use proptest::prelude::*;
use roxmltree::{Document, Node};

use super::super::example::{any_summary, foreign, summary};
use super::super::svg;

/// Namespace of SVG (SVG 2, "Namespace").
const SVG: &str = "http://www.w3.org/2000/svg";

fn texts<'a>(document: &'a Document<'_>, name: &str) -> Vec<&'a str> {
    document
        .descendants()
        .filter(|node| node.has_tag_name((SVG, name)))
        .map(|node| node.text().unwrap_or_default())
        .collect()
}

fn attributes<'a>(
    document: &'a Document<'_>,
) -> impl Iterator<Item = (Node<'a, 'a>, &'a str, &'a str)> {
    document.descendants().flat_map(|node| {
        node.attributes().map(move |attribute| (node, attribute.name(), attribute.value()))
    })
}

proptest! {
    #[test]
    fn picture_is_well_formed_with_any_segment_name(summary in any_summary()) {
        let text = svg(&summary, "plan");
        prop_assert!(Document::parse(&text).is_ok(), "{}", text);
    }
}

#[test]
fn names_are_text_and_never_markup() {
    let mut hostile = summary();
    hostile.segments[1].name = "</text><script>".into();
    hostile.purgatory = "a\"b&c".into();
    let text = svg(&hostile, "plan");
    let document = Document::parse(&text).unwrap();
    assert!(texts(&document, "text").iter().any(|said| said.starts_with("</text>")), "{text}");
    assert!(texts(&document, "text").iter().any(|said| said.contains("a\"b&c")), "{text}");
    assert_eq!(texts(&document, "script"), [""; 0]);
}

#[test]
fn picture_has_a_role_a_title_and_a_description_of_every_part() {
    let text = svg(&summary(), "plan");
    let document = Document::parse(&text).unwrap();
    let root = document.root_element();
    assert_eq!(root.attribute("role"), Some("img"));
    let named = |attribute: &str| {
        let id = root.attribute(attribute).unwrap();
        document
            .descendants()
            .find(|node| node.attribute("id") == Some(id))
            .unwrap()
            .text()
            .unwrap()
    };
    assert_eq!(named("aria-labelledby"), "Crash region 0x2e000000-0x3dffffff");
    for segment in summary().segments {
        assert!(
            named("aria-describedby").contains(&format!("{} {:#x}-", segment.name, segment.start)),
            "{}",
            segment.name
        );
    }
}

#[test]
fn nothing_is_fetched_and_nothing_runs() {
    for summary in [summary(), foreign()] {
        let text = svg(&summary, "plan");
        let document = Document::parse(&text).unwrap();
        let ids: Vec<_> = document.descendants().filter_map(|node| node.attribute("id")).collect();
        for (node, name, value) in attributes(&document) {
            assert!(!name.starts_with("on") && name != "href", "{name} of {:?}", node.tag_name());
            if let Some(reference) = value.strip_prefix("url(") {
                let id = reference
                    .strip_prefix('#')
                    .and_then(|id| id.strip_suffix(')'))
                    .expect("a reference into the picture");
                assert!(ids.contains(&id), "{id} is not there");
            }
        }
        assert!(
            texts(&document, "style")
                .iter()
                .all(|style| !style.contains("url(") && !style.contains("@import"))
        );
        assert_eq!(texts(&document, "script"), [""; 0]);
    }
}

#[test]
fn two_pictures_in_one_page_share_no_id() {
    let ids = |summary: &Summary, id| {
        let text = svg(summary, id);
        let document = Document::parse(&text).unwrap();
        document
            .descendants()
            .filter_map(|node| node.attribute("id").map(str::to_owned))
            .collect::<Vec<_>>()
    };
    let (first, second) = (ids(&summary(), "one"), ids(&summary(), "two"));
    assert!(
        !first.is_empty() && first.iter().all(|id| !second.contains(id)),
        "{first:?} {second:?}"
    );
}
