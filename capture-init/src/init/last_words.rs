//! If there is no target: the end of the crashed kernel's log goes to the console.
//!
//! *On entry* the vmcore. *On exit* the console, and every file that records it, has the panic's
//! message.

use std::fs;

use crate::console::Console;
use crate::step::{Place, Step};
use crate::{alive, child};

/// In the initrd's root, which is memory.
const FILE: &str = "/last-words.txt";
/// A panic with its registers and its stack has some 60 lines.
const LINES: usize = 100;

/// Prints it.
pub fn print(console: &Console) {
    alive::begin("while reading the crashed kernel's log");
    let place = Place { path: FILE.into(), offset: 0, room: u64::MAX, is_partition: false };
    let text = match child::save(&Step::Log, &place) {
        Ok(_) => fs::read_to_string(FILE).map_err(|error| error.to_string()),
        Err(trouble) => Err(trouble.words),
    };
    match text {
        Ok(text) => {
            console.say("the crashed kernel's last messages follow");
            console.text(last_lines(&text, LINES));
        }
        Err(words) => console.warn(&format!("the crashed kernel's log cannot be read: {words}")),
    }
}

fn last_lines(text: &str, most: usize) -> &str {
    let before = text.trim_end().rmatch_indices('\n').nth(most - 1);
    before.map_or(text, |(at, _)| &text[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_lines_are_the_end_of_the_text() {
        assert_eq!(last_lines("one\ntwo\nthree\n", 2), "two\nthree\n");
        assert_eq!(last_lines("one\n", 2), "one\n");
        assert_eq!(last_lines("", 2), "");
    }
}
