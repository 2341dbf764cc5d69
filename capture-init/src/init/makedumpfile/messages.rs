//! What makedumpfile says: lines, and progress that overwrites itself.
//!
//! *On entry* its standard error. *On exit*, when it ends, every line was a message, and progress
//! was shown. The pipe is read whatever the console takes, so makedumpfile never waits for it.

use std::io::{self, BufRead, BufReader, Read};

use crate::alive;
use crate::console::Console;

/// Part of a line of progress (`print_progress`, print_info.c of makedumpfile).
const PROGRESS: &str = " %]";
/// A longer piece is cut.
const LONGEST: u64 = 4096;

/// Forwards it.
pub fn forward(said: impl Read, console: &Console) {
    let mut said = BufReader::new(said);
    while let Ok(Some((piece, is_line))) = piece(&mut said) {
        alive::sign();
        let text = String::from_utf8_lossy(&piece);
        // Progress is padded with blanks.
        let text = text.trim();
        // A makedumpfile that sees no terminal may print it as lines.
        let is_progress = !is_line || text.contains(PROGRESS);
        match text.is_empty() {
            true => {}
            false if is_progress => console.progress(&format!("makedumpfile: {text}")),
            false => console.say(&format!("makedumpfile: {text}")),
        }
    }
}

/// The next piece, and whether a line ends with it. Progress ends with a carriage return.
fn piece(said: &mut impl BufRead) -> io::Result<Option<(Vec<u8>, bool)>> {
    let mut piece = Vec::new();
    let mut bytes = said.by_ref().take(LONGEST).bytes();
    loop {
        match bytes.next().transpose()? {
            None if piece.is_empty() => return Ok(None),
            None | Some(b'\n') => return Ok(Some((piece, true))),
            Some(b'\r') => return Ok(Some((piece, false))),
            Some(byte) => piece.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::heard::Heard;

    #[test]
    fn lines_are_messages_and_progress_is_shown() {
        let heard = Heard::new();
        let said = "Level 31\n\rCopying data : [ 10.0 %]    \rCopying data : [100.0 %]\n\nSaved.";
        forward(said.as_bytes(), &heard.console());
        let log = heard.log();
        let lines: Vec<_> =
            log.lines().filter_map(|line| Some(line.split_once("makedumpfile: ")?.1)).collect();
        assert_eq!(lines, ["Level 31", "Saved."]);
        assert!(heard.shown().contains("makedumpfile: Copying data : [ 10.0 %]"));
        assert!(heard.shown().contains("makedumpfile: Copying data : [100.0 %]"));
    }

    #[test]
    fn line_without_an_end_is_cut_and_nothing_is_lost() {
        let heard = Heard::new();
        forward("x".repeat(10_000).as_bytes(), &heard.console());
        assert_eq!(heard.log().matches('x').count(), 10_000);
    }
}
