//! The fault matrix: a kernel of our own crashes, a payload of our own captures, and every verdict
//! has its case.
//!
//! The Linux scenarios show that it works; these cases show that it cannot be made to fail in
//! silence. A case takes a second or two, and nothing is downloaded for it but crates.
//!
//! ```text
//! booted.rs       (1) the crash kernel, booted once per kind of machine, awaits its orders
//! description.rs  (1) what the machine is, as the crash kernel tells it and as the loader reads it
//! case.rs         (2) a row: what is asked, what is damaged, what must come of it
//! cases/          (2) the rows
//! memory.rs       (3) the image that the loader built, damaged; stray writes make the difference
//! ramdisk.rs      (4) orders for the crash kernel
//! run.rs          (5) the machine
//! debugger.rs     (5) the same machine under gdb
//! judge.rs        (6) how it ended
//! words.rs        (6) what was said
//! course.rs       (6) in which order
//! oracle.rs       (6) what must be said of this damage
//! trace.rs        (6) what was executed
//! endless.rs      (6) whether a CPU hangs forever
//! ```

mod booted;
mod case;
mod course;
pub mod debugger;
mod description;
mod endless;
mod judge;
mod memory;
mod oracle;
mod ramdisk;
mod run;
mod trace;
mod words;
mod cases;

pub use booted::Machines;
pub use case::Case;
pub use run::{Start, directory_name, run};

use handoff::Verdict;

/// The matrix, family by family.
pub const FAMILIES: &[(&str, &[Case])] = cases::FAMILIES;

/// Every case.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    FAMILIES.iter().flat_map(|(_, cases)| cases.iter())
}

/// A verdict without a case does not compile.
const _: () = {
    let mut verdict = 0;
    while verdict < Verdict::ALL.len() {
        assert!(is_covered(Verdict::ALL[verdict] as u32), "a verdict has no case");
        verdict += 1;
    }
};

const fn is_covered(verdict: u32) -> bool {
    let mut family = 0;
    while family < FAMILIES.len() {
        let cases = FAMILIES[family].1;
        let mut case = 0;
        while case < cases.len() {
            if cases[case].expect.verdict as u32 == verdict {
                return true;
            }
            case += 1;
        }
        family += 1;
    }
    false
}

/// The file with the table of cases, relative to the repository's root.
pub const README: &str = "tests/README.md";
/// What stands around the table there.
const MARKERS: (&str, &str) = (
    "<!-- table of cases: `cargo xtask qemu bare --write-table` -->\n",
    "<!-- end of the table -->\n",
);

/// `text` with the table between its markers as it must be; `None` without markers.
pub fn with_table(text: &str) -> Option<String> {
    let (before, rest) = text.split_once(MARKERS.0)?;
    let (_, after) = rest.split_once(MARKERS.1)?;
    Some(format!("{before}{}{}{}{after}", MARKERS.0, table(), MARKERS.1))
}

/// The matrix as a table in Markdown, and how many cases and verdicts it has.
fn table() -> String {
    let mut text =
        String::from("\n| case | when | verdict | ending |\n| --- | --- | --- | --- |\n");
    for case in cases() {
        let Case { name, summary, expect, .. } = case;
        let ended = case::ended_in_words(&expect.ended);
        let silence = if words::speaks(case) { "" } else { ", in silence" };
        text.push_str(&format!(
            "| `{name}` | {summary} | {} | {ended}{silence} |\n",
            expect.verdict.word()
        ));
    }
    let covered = Verdict::ALL.iter().filter(|verdict| is_covered(**verdict as u32)).count();
    text.push_str(&format!(
        "\n{} cases; {covered} of {} verdicts.\n\n",
        cases().count(),
        Verdict::ALL.len()
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::case::Ended;
    use super::*;
    use crate::machine::vm::READ_LATENCY;
    use std::time::Duration;

    #[test]
    fn names_are_unique_and_can_be_typed() {
        let mut names = std::collections::BTreeSet::new();
        for Case { name, .. } in cases() {
            let typed =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            assert!(name.bytes().all(typed) && names.insert(name), "{name}");
        }
    }

    #[test]
    fn table_in_the_readme_is_that_of_the_matrix() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let text = std::fs::read_to_string(root.join(README)).unwrap();
        assert!(
            with_table(&text).unwrap() == text,
            "{README} is stale: run `cargo xtask qemu bare --write-table`"
        );
    }

    #[test]
    fn only_a_sound_image_is_captured_without_a_word_against_it() {
        for Case { name, expect, .. } in cases() {
            match expect.ended {
                Ended::Booted(_) => assert_eq!(expect.verdict, Verdict::Ok, "{name}"),
                Ended::BootedNevertheless(_, ending) => {
                    assert!(
                        expect.verdict != Verdict::Ok && ending != orders::Ending::Captured,
                        "{name}"
                    );
                }
                _ => assert_ne!(expect.verdict, Verdict::Ok, "{name}"),
            }
        }
    }

    #[test]
    fn every_delay_is_long_enough_to_be_noticed() {
        for case in
            cases().filter(|case| matches!(case.expect.ended, Ended::Reset | Ended::TripleFault))
        {
            let mut arrangement = case::Arrangement::default();
            (case.arrange)(&mut arrangement);
            let delay = Duration::from_millis(arrangement.reset_delay_ms.into());
            assert!(
                delay.is_zero() || delay > READ_LATENCY,
                "{}: a delay of {delay:?} cannot be told from none",
                case.name
            );
        }
    }
}
