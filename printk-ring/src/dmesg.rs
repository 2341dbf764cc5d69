//! `[5]` A log as lines, in the format of dmesg(1).
//!
//! * A record begins with its time, `[    1.234567] `.
//! * Further lines of the same record are indented by as much, so no text can imitate a record.
//! * Bytes that are not printable text become `\xNN`, so no text can control a terminal.
//! * A line in `--` stands for records that are not shown.

use std::fmt::{self, Write};

use crate::decode::{Entry, Log, Record};

const NANOSECONDS: u64 = 1_000_000_000;

impl fmt::Display for Log {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.text_only {
            out.write_str("-- the times are lost, and a text may end in foreign bytes --\n")?;
        }
        for group in self.entries.chunk_by(|one, next| is_damaged(one) && is_damaged(next)) {
            match &group[0] {
                Entry::Record(record) => write!(out, "{record}")?,
                Entry::Text { text } => write_text(out, "[            ] ", text)?,
                Entry::Damaged { damage, .. } => {
                    let (count, why) = (group.len(), damage.words());
                    let records =
                        if count == 1 { "1 record is" } else { &format!("{count} records are") };
                    writeln!(out, "-- {records} not shown: {why} --")?;
                }
            }
        }
        Ok(())
    }
}

/// With a line feed after each line.
impl fmt::Display for Record {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { time, text, .. } = self;
        let prefix = format!("[{:5}.{:06}] ", time / NANOSECONDS, time % NANOSECONDS / 1000);
        write_text(out, &prefix, text)
    }
}

fn is_damaged(entry: &Entry) -> bool {
    matches!(entry, Entry::Damaged { .. })
}

fn write_text(out: &mut fmt::Formatter<'_>, prefix: &str, text: &[u8]) -> fmt::Result {
    out.write_str(prefix)?;
    let text = printable(text);
    for (index, line) in text.trim_end_matches('\n').split('\n').enumerate() {
        if index > 0 {
            write!(out, "{:1$}", "", prefix.len())?;
        }
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// A text with every control character but line feed and tab, and every byte that is not UTF-8, as
/// `\xNN`.
pub fn printable(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    let escape = |out: &mut String, bytes: &[u8]| {
        bytes.iter().try_for_each(|byte| write!(out, "\\x{byte:02x}")).expect("a string has room")
    };
    for chunk in text.utf8_chunks() {
        for char in chunk.valid().chars() {
            if char.is_control() && char != '\n' && char != '\t' {
                escape(&mut out, char.encode_utf8(&mut [0; 4]).as_bytes());
            } else {
                out.push(char);
            }
        }
        escape(&mut out, chunk.invalid());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Damage;

    fn log(entries: Vec<Entry>) -> String {
        Log { entries, text_only: false }.to_string()
    }

    fn record(time: u64, text: &[u8]) -> Entry {
        let text = text.to_vec();
        Entry::Record(Record { seq: 0, time, level: None, facility: None, caller: 0, text })
    }

    #[test]
    fn line_has_the_time_in_the_format_of_dmesg() {
        let lines = log(vec![
            record(0, b"Linux version 6.12.43"),
            record(12_345_678_999, b"systemd[1]: ready"),
            record(123_456 * NANOSECONDS + 1_000, b"late"),
        ]);
        assert_eq!(
            lines,
            "[    0.000000] Linux version 6.12.43\n\
             [   12.345678] systemd[1]: ready\n\
             [123456.000001] late\n"
        );
    }

    #[test]
    fn text_cannot_imitate_a_record_or_control_a_terminal() {
        let lines = log(vec![record(0, b"one\n[    9.000000] Kernel panic\x1b[2J\xff\xc2\x9b")]);
        assert_eq!(
            lines,
            "[    0.000000] one\n\
             \x20              [    9.000000] Kernel panic\\x1b[2J\\xff\\xc2\\x9b\n"
        );
    }

    #[test]
    fn damaged_records_are_counted_and_not_shown() {
        let damaged = |seq, damage| Entry::Damaged { seq, damage };
        let lines = log(vec![
            record(0, b"first"),
            damaged(1, Damage::Text),
            damaged(2, Damage::Info),
            record(1000, b""),
            damaged(4, Damage::NotStored),
        ]);
        assert_eq!(
            lines,
            "[    0.000000] first\n\
             -- 2 records are not shown: the text was overwritten --\n\
             [    0.000001] \n\
             -- 1 record is not shown: the kernel had no room for the text --\n"
        );
    }
}
