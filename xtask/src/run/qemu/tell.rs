//! The end of each scenario or case, on stdout: as text, or as TAP version 14 (testanything.org),
//! which parsers of the kernel's KTAP read as well.
//!
//! *On exit*: the exit status. 0 if all passed or were skipped, 1 if one failed, 125 otherwise.

use anyhow::{anyhow, bail};

use super::CannotTell;

/// The end of a scenario or a case.
#[derive(Debug)]
pub enum End {
    /// It passed; its timeline.
    Passed(String),
    /// It failed; the cause.
    Failed(String),
    /// It is not about this kernel; why.
    Skipped(String),
    /// It was not run, or says nothing about the kernel and the loader; why.
    CannotTell(String),
}

impl End {
    /// How a run ended.
    pub fn of(result: Result<String, qemu_runner::Error>) -> Self {
        match result {
            Ok(story) => Self::Passed(story),
            Err(error) if error.cannot_tell() => Self::CannotTell(error.chain()),
            Err(error) => Self::Failed(error.chain()),
        }
    }

    /// The story or the reason.
    pub fn text(&self) -> &str {
        match self {
            Self::Passed(text)
            | Self::Failed(text)
            | Self::Skipped(text)
            | Self::CannotTell(text) => text,
        }
    }
}

/// Reports each end, and counts them.
pub struct Teller {
    tap: bool,
    passed: usize,
    skipped: usize,
    /// Names.
    failed: Vec<String>,
    cannot_tell: Vec<String>,
}

impl Teller {
    /// As TAP, or as text.
    pub fn new(tap: bool) -> Self {
        if tap {
            println!("TAP version 14");
        }
        Self { tap, passed: 0, skipped: 0, failed: Vec::new(), cannot_tell: Vec::new() }
    }

    fn count(&self) -> usize {
        self.passed + self.skipped + self.failed.len() + self.cannot_tell.len()
    }

    /// Announces how many follow.
    pub fn plan(&self, count: usize) {
        if self.tap {
            println!("1..{count}");
        }
    }

    pub fn tell(&mut self, name: &str, end: &End) {
        match end {
            End::Passed(_) => self.passed += 1,
            End::Skipped(_) => self.skipped += 1,
            End::Failed(_) => self.failed.push(name.to_owned()),
            End::CannotTell(_) => self.cannot_tell.push(name.to_owned()),
        }
        match end {
            _ if self.tap => print!("{}", tap(self.count(), name, end)),
            End::Passed(story) => println!("{story}"),
            End::Failed(why) => eprintln!("{why}"),
            End::Skipped(why) => println!("{name}: skipped: {why}"),
            End::CannotTell(why) => eprintln!("{name}: cannot tell: {why}"),
        }
    }

    /// A line that is not about one of them.
    pub fn remark(&self, text: &str) {
        println!("{}{text}", if self.tap { "# " } else { "" });
    }

    /// The rest cannot be run.
    pub fn bail_out(&self, why: String) -> anyhow::Error {
        if self.tap {
            println!("Bail out! {}", one_line(&why));
        }
        anyhow!(CannotTell(why))
    }

    /// The sum of them all, as an exit status.
    pub fn finish(&self) -> anyhow::Result<()> {
        let Self { tap, passed, skipped, failed, cannot_tell } = self;
        let count = self.count();
        if count > 1 {
            let mark = if *tap { "# " } else { "" };
            let (failed, unknown) = (failed.len(), cannot_tell.len());
            println!(
                "{mark}{passed} passed, {failed} failed, {unknown} cannot tell, {skipped} skipped"
            );
        }
        if !failed.is_empty() {
            bail!("{} of {count} failed: {}", failed.len(), failed.join(", "));
        }
        if !cannot_tell.is_empty() {
            bail!(CannotTell(format!("cannot tell: {}", cannot_tell.join(", "))));
        }
        if *passed == 0 {
            bail!(CannotTell("cannot tell: everything was skipped".into()));
        }
        Ok(())
    }
}

/// The lines of one result: diagnostics, then the result. A test that could not be run is a skipped
/// one to TAP.
fn tap(number: usize, name: &str, end: &End) -> String {
    let said: String = end.text().lines().map(|line| format!("# {line}\n")).collect();
    match end {
        End::Passed(_) => format!("{said}ok {number} - {name}\n"),
        End::Failed(_) => format!("{said}not ok {number} - {name}\n"),
        End::Skipped(why) => format!("ok {number} - {name} # SKIP {}\n", one_line(why)),
        End::CannotTell(why) => {
            format!("{said}ok {number} - {name} # SKIP cannot tell: {}\n", one_line(why))
        }
    }
}

/// A reason on one line: the first line and the cause that all others come from.
fn one_line(text: &str) -> String {
    let mut lines = text.lines().map(str::trim);
    let first = lines.next().unwrap_or_default();
    lines.next_back().map_or_else(|| first.to_owned(), |last| format!("{first}; {last}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_is_a_line_of_tap_with_its_diagnostics_before_it() {
        let ends = [
            End::Passed("capture\n  0.5 s  panic".into()),
            End::Failed("no vmcore\n  because of x".into()),
            End::Skipped("CONFIG_EFI not set".into()),
            End::CannotTell("capture failed\n  because it did not boot".into()),
        ];
        let lines: String =
            ends.iter().enumerate().map(|(index, end)| tap(index + 1, "a", end)).collect();
        let expected = "# capture\n#   0.5 s  panic\nok 1 - a\n\
            # no vmcore\n#   because of x\nnot ok 2 - a\n\
            ok 3 - a # SKIP CONFIG_EFI not set\n\
            # capture failed\n#   because it did not boot\n\
            ok 4 - a # SKIP cannot tell: capture failed; because it did not boot\n";
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_failure_counts_for_more_than_what_cannot_be_told_and_nothing_is_no_success() {
        let finished = |ends: &[End]| {
            let mut teller = Teller::new(false);
            ends.iter().for_each(|end| teller.tell("a", end));
            teller.finish().err().map(|error| error.is::<CannotTell>())
        };
        let (passed, skipped) = (|| End::Passed(String::new()), || End::Skipped(String::new()));
        let (failed, unknown) = (|| End::Failed(String::new()), || End::CannotTell(String::new()));
        assert_eq!(finished(&[passed(), skipped()]), None);
        assert_eq!(finished(&[passed(), unknown()]), Some(true));
        assert_eq!(finished(&[unknown(), failed()]), Some(false));
        assert_eq!(finished(&[skipped()]), Some(true));
    }
}
