//! The checks, one file each. All of them run and report. The first that fails decides how the run
//! ends.

use handoff::text::Text;
use orders::Ending;

use crate::evidence::Evidence;
use crate::{EntryState, Nmis, Physical, Program};

mod registers;
mod flags;
mod segments;
mod control_registers;
mod paging;
mod boot_params;
mod command_line;
mod elfcorehdr;
mod notes;
mod loads;
mod contents;
mod nmi;

/// Runs all checks. `iret` executes the first IRET since the panic, and returns how many NMIs have
/// arrived.
pub fn all<P: Physical>(
    entry: &EntryState,
    program: &Program,
    physical: &P,
    out: &mut impl Text,
    iret: impl FnOnce() -> Nmis,
) -> Ending {
    let evidence = Evidence::gather(entry, program, physical);
    let mut checks = Checks { out, first: None, incomplete: false };
    say_report(checks.out, &evidence);
    checks.group(Ending::Registers, "registers", |group| registers::check(group, &evidence));
    checks.group(Ending::Segments, "segments", |group| segments::check(group, entry, physical));
    checks.group(Ending::Flags, "flags", |group| flags::check(group, entry));
    checks.group(Ending::ControlRegisters, "control-registers", |group| {
        control_registers::check(group, &evidence)
    });
    checks.group(Ending::Paging, "paging", |group| paging::check(group, &evidence, physical));
    checks.group(Ending::BootParams, "boot-params", |group| {
        boot_params::check(group, &evidence, physical)
    });
    checks
        .group(Ending::CommandLine, "command-line", |group| command_line::check(group, &evidence));
    checks.group(Ending::Elfcorehdr, "elfcorehdr", |group| elfcorehdr::check(group, &evidence));
    checks.group(Ending::Notes, "notes", |group| notes::check(group, &evidence, physical));
    checks.group(Ending::Loads, "loads", |group| loads::check(group, &evidence, physical));
    checks.group(Ending::Contents, "contents", |group| contents::check(group, &evidence, physical));
    // Last, because an IRET cannot be undone.
    let nmis = iret();
    checks.group(Ending::Nmi, "nmi", |group| nmi::check(group, &evidence, nmis));

    assert!(
        checks.first.is_some() || !checks.incomplete,
        "what one group lacks is what another fails for"
    );
    let ending = checks.first.unwrap_or(Ending::Captured);
    checks.out.text("payload: ending ").text(ending.name()).text("\n");
    ending
}

fn say_report(out: &mut impl Text, evidence: &Evidence<'_>) {
    out.text("payload: report ");
    match &evidence.report_field {
        // Other bytes are replaced, so that it stays one line.
        Ok(field) => field
            .trim_ascii_end()
            .iter()
            .for_each(|&byte| out.byte(if byte.is_ascii_graphic() { byte } else { b'?' })),
        Err(reason) => _ = out.text("missing: ").text(reason),
    }
    out.text("\n");
}

struct Checks<'o, Out> {
    out: &'o mut Out,
    first: Option<Ending>,
    /// Whether any group was.
    incomplete: bool,
}

impl<Out: Text> Checks<'_, Out> {
    /// Runs one group: prints its lines, and keeps its ending if it is the first to fail.
    fn group(
        &mut self,
        ending: Ending,
        name: &'static str,
        check: impl FnOnce(&mut Group<'_, Out>),
    ) {
        let mut group = Group { out: self.out, name, failed: false, incomplete: false };
        check(&mut group);
        let Group { failed, incomplete, .. } = group;
        self.incomplete |= incomplete;
        if failed {
            self.first.get_or_insert(ending);
        } else if !incomplete {
            self.out.text("payload: ok ").text(name).text("\n");
        }
    }
}

/// The group that is being checked.
struct Group<'o, Out> {
    out: &'o mut Out,
    name: &'static str,
    /// An item was not as expected.
    failed: bool,
    /// An item could not be checked, for a reason that makes another group fail.
    incomplete: bool,
}

impl<Out: Text> Group<'_, Out> {
    /// Reports that the group failed. `why` writes the rest of the line.
    fn fails(&mut self, why: impl FnOnce(&mut Out)) {
        self.failed = true;
        self.line(why);
    }

    /// Reports that the group failed.
    fn fails_with(&mut self, words: &str) {
        self.fails(|line| _ = line.text(words));
    }

    fn line(&mut self, why: impl FnOnce(&mut Out)) {
        self.out.text("payload: FAILED ").text(self.name).text(": ");
        why(self.out);
        self.out.text("\n");
    }

    /// Fails unless `holds`.
    fn ensure(&mut self, holds: bool, why: impl FnOnce(&mut Out)) {
        if !holds {
            self.fails(why);
        }
    }

    /// Fails unless `holds`. The words say what was expected, and end with "found".
    fn expect(&mut self, holds: bool, words: &str, found: u64) {
        self.ensure(holds, |line| _ = line.text(words).text(" ").hex(found));
    }

    /// As `expect`, for the item with this number.
    fn expect_of(&mut self, item: &str, number: usize, holds: bool, words: &str, found: u64) {
        self.ensure(holds, |line| {
            line.text(item).text(" ").decimal(number as u64).text(": ").text(words);
            line.text(" ").hex(found);
        });
    }

    /// As `expect`, for the item at this address or offset.
    fn expect_at(&mut self, item: &str, address: u64, holds: bool, words: &str, found: u64) {
        self.ensure(holds, |line| {
            line.text(item).text(" at ").hex(address).text(": ").text(words).text(" ").hex(found);
        });
    }

    /// Fails unless both numbers are equal. Prints them in hexadecimal.
    fn equal(&mut self, item: &str, expected: u64, found: u64) {
        self.ensure(expected == found, |line| {
            line.text(item).text(": expected ").hex(expected).text(" found ").hex(found);
        });
    }

    /// As `equal`, but prints decimal counts.
    fn equal_count(&mut self, item: &str, expected: u64, found: u64) {
        self.ensure(expected == found, |line| {
            line.text(item).text(": expected ").decimal(expected).text(" found ").decimal(found);
        });
    }

    /// Fails unless the item was found. Then prints what was found instead.
    fn found<T>(&mut self, item: &str, found: Result<T, &str>) -> Option<T> {
        match found {
            Ok(found) => Some(found),
            Err(instead) => {
                self.fails(|line| _ = line.text(item).text(": expected one found ").text(instead));
                None
            }
        }
    }

    /// As `found`, for an item that makes another group fail. This group is only incomplete.
    fn needs<T>(&mut self, item: &str, found: Result<T, &str>) -> Option<T> {
        match found {
            Ok(found) => Some(found),
            Err(instead) => {
                self.incomplete = true;
                self.line(|line| {
                    line.text("not complete: ").text(item).text(": expected one found ");
                    line.text(instead);
                });
                None
            }
        }
    }
}
