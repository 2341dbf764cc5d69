//! Nothing overlaps or is outside the picture, and parts marked as to scale are to scale.

use proptest::prelude::*;

use super::super::example::{any_summary, summary};
use super::super::parts::parts;
use super::*;

/// Rounding of pixels, which are all below a few thousand.
const EPSILON: f64 = 1e-6;

fn of(summary: &Summary) -> Layout {
    layout(summary, parts(summary))
}

fn texts(layout: &Layout) -> impl Iterator<Item = &Text> {
    layout.parts.iter().flat_map(|part| &part.label).chain(&layout.texts)
}

fn overlap(a: &Rect, b: &Rect) -> bool {
    a.x + EPSILON < b.right()
        && b.x + EPSILON < a.right()
        && a.y + EPSILON < b.bottom()
        && b.y + EPSILON < a.bottom()
}

fn inside(inner: &Rect, outer: &Rect) -> bool {
    inner.x + EPSILON >= outer.x
        && inner.y + EPSILON >= outer.y
        && inner.right() <= outer.right() + EPSILON
        && inner.bottom() <= outer.bottom() + EPSILON
}

/// Fails if two of the rectangles overlap.
fn apart<'a>(rects: impl Iterator<Item = &'a Rect>) -> Result<(), TestCaseError> {
    let rects: Vec<_> = rects.collect();
    for (index, a) in rects.iter().enumerate() {
        for b in &rects[index + 1..] {
            prop_assert!(!overlap(a, b), "{a:?} and {b:?}");
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn nothing_overlaps_or_is_outside_the_picture(summary in any_summary()) {
        let layout = of(&summary);
        let picture = Rect { x: 0.0, y: 0.0, w: WIDTH, h: layout.height };
        let details = layout.parts.iter().map(|part| &part.detail);
        let rulers = layout.parts.iter().map(|part| &part.ruler);
        let samples = layout.samples.iter().map(|(_, rect)| rect);
        let solid: Vec<_> = details
            .chain(rulers)
            .chain(samples)
            .chain(texts(&layout).map(|text| &text.rect))
            .collect();
        apart(solid.iter().copied())?;
        for rect in solid {
            prop_assert!(inside(rect, &picture), "{rect:?}");
        }
        for part in &layout.parts {
            for (column, pieces) in
                [(&part.overview, &part.overview_pieces), (&part.detail, &part.pieces)]
            {
                apart(pieces.iter().map(|(_, rect)| rect))?;
                for (_, rect) in pieces {
                    prop_assert!(inside(rect, column), "{rect:?} in {column:?}");
                }
                let filled: f64 = pieces.iter().map(|(_, rect)| rect.h).sum();
                prop_assert!((filled - column.h).abs() < EPSILON, "pieces fill their part");
            }
            prop_assert!(
                part.pieces.iter().all(|(_, rect)| rect.h + EPSILON >= LEAST_PIECE),
                "thin enough to be missed"
            );
            for label in &part.label {
                let (label, beside) = (&label.rect, &part.detail);
                prop_assert!(
                    label.y >= beside.y && label.bottom() <= beside.bottom(),
                    "{label:?} is not beside {beside:?}"
                );
            }
        }
    }

    #[test]
    fn both_columns_show_the_whole_region_in_order(summary in any_summary()) {
        let layout = of(&summary);
        for column in [|part: &Drawn| part.overview, |part: &Drawn| part.detail] {
            let mut y = TOP;
            for part in &layout.parts {
                let rect = column(part);
                prop_assert!((rect.y - y).abs() < EPSILON, "{rect:?} at {y}");
                y = rect.bottom();
            }
        }
        let bottoms =
            layout.parts.last().map(|part| (part.overview.bottom(), part.detail.bottom()));
        prop_assert!(bottoms.is_none_or(|(left, right)| (left - right).abs() < EPSILON));
    }

    /// The left column is always to scale. In the right one, marked parts are to scale, and the
    /// others are higher or lower.
    #[test]
    fn parts_marked_as_to_scale_are_to_scale(summary in any_summary()) {
        let parts = parts(&summary);
        let layout = layout(&summary, parts.clone());
        let bytes = |part: &Part| part.range.len() as f64;
        let total: f64 = layout.parts.iter().map(|part| part.detail.h).sum();
        let mut scales = Vec::new();
        for (part, drawn) in parts.iter().zip(&layout.parts) {
            let share = bytes(part) / summary.crash_region.len as f64 * total;
            prop_assert!((drawn.overview.h - share).abs() < EPSILON);
            if drawn.scale == Scale::True {
                scales.push(drawn.detail.h / bytes(part));
            }
        }
        let Some(&scale) = scales.first() else {
            return Err(TestCaseError::fail("nothing is to scale"));
        };
        for (part, drawn) in parts.iter().zip(&layout.parts) {
            let height = bytes(part) * scale;
            let is = match drawn.scale {
                Scale::True => (drawn.detail.h / height - 1.0).abs() < EPSILON,
                Scale::Shortened => drawn.detail.h < height,
                Scale::Enlarged => drawn.detail.h > height,
            };
            prop_assert!(is, "{drawn:?} at {scale}");
        }
    }

    #[test]
    fn legend_explains_exactly_what_occurs(summary in any_summary()) {
        let layout = of(&summary);
        for care in Care::ALL {
            let occurs =
                layout.parts.iter().any(|part| part.pieces.iter().any(|piece| piece.0 == care));
            prop_assert_eq!(
                layout.samples.iter().any(|(sample, _)| *sample == Sample::Care(care)),
                occurs
            );
        }
        for scale in [Scale::True, Scale::Shortened, Scale::Enlarged] {
            let occurs = layout.parts.iter().any(|part| part.scale == scale);
            prop_assert_eq!(
                layout.samples.iter().any(|(sample, _)| *sample == Sample::Scale(scale)),
                occurs
            );
        }
    }
}

#[test]
fn large_parts_are_to_scale_small_ones_enlarged_and_free_memory_shortened() {
    let layout = of(&summary());
    let scales: Vec<_> = layout.parts.iter().map(|part| part.scale).collect();
    let [true_to_scale, shortened, enlarged] = [Scale::True, Scale::Shortened, Scale::Enlarged];
    assert_eq!(
        scales,
        [enlarged, enlarged, true_to_scale, true_to_scale, enlarged, enlarged, shortened]
    );
}

#[test]
fn every_part_has_a_label_with_name_size_addresses_and_verification() {
    let layout = of(&summary());
    let said: Vec<_> = layout.parts[2].label.iter().map(|text| text.text.as_str()).collect();
    assert_eq!(
        said,
        ["kernel", "55.9 MiB", "0x2e200000-0x319ddfff", "11.2 MiB hashed, 44.7 MiB proved zero"]
    );
    assert!(
        layout.texts.iter().any(|text| text.text.starts_with("256 MiB, 26.")),
        "how full it is"
    );
    assert!(layout.texts.iter().any(|text| text.text.contains("engine sha-ni")));
    assert!(
        texts(&layout).all(|text| !text.text.contains('…')),
        "nothing of a real image is cut off"
    );
}

#[test]
fn long_line_is_cut_and_says_so() {
    for long in ["x".repeat(50), "M".repeat(50), "漢".repeat(50)] {
        let text = Text::new(Style::Words, 0.0, 0.0, 100.0, &long);
        assert!(
            text.rect.w <= 100.0 && text.text.ends_with('…') && text.text.chars().count() > 5,
            "{}",
            text.text
        );
    }
    let text = Text::ending_at(Style::Words, 200.0, 0.0, 100.0, "short");
    assert_eq!((text.rect.right(), text.text.as_str()), (200.0, "short"));
}
