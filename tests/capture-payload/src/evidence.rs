//! Everything that several checks need, found once. An error says what was found instead, in words
//! that follow "found".

use handoff::report::{Elfcorehdr, FIELD_LEN, Report};

use crate::crash_note::{self, Found};
use crate::elf::Headers;
use crate::entry_state::{EntryState, General};
use crate::zero_page::ZeroPage;
use crate::{Physical, Program, command_line, report};

/// The evidence.
#[derive(Debug)]
pub struct Evidence<'m> {
    /// The CPU's state.
    pub entry: &'m EntryState,
    /// Where the payload is.
    pub program: &'m Program,
    /// The page that RSI points to, if that is memory.
    pub zero_page: Result<ZeroPage<'m>, &'static str>,
    /// The command line without its NUL.
    pub command_line: Result<&'m [u8], &'static str>,
    /// The report's field in it.
    pub report_field: Result<&'m [u8; FIELD_LEN], &'static str>,
    /// The report in that field.
    pub report: Result<Report, &'static str>,
    /// The elfcorehdr that the command line names.
    pub headers: Result<Headers<'m>, &'static str>,
    /// The crash note in one of its PT_NOTEs.
    pub crash_note: Result<Found<'m>, &'static str>,
}

impl<'m> Evidence<'m> {
    /// Follows RSI to the crash note.
    pub fn gather(
        entry: &'m EntryState,
        program: &'m Program,
        physical: &'m impl Physical,
    ) -> Self {
        let zero_page =
            ZeroPage::at(physical, entry.general(General::Rsi)).filter(ZeroPage::has_magic);
        let zero_page = zero_page.ok_or("no boot_params");
        let command_line = zero_page.and_then(|page| command_line::find(physical, &page));
        let report_field = command_line.and_then(command_line::report_field);
        let report = report_field.and_then(report::parse);
        let headers = command_line
            .and_then(command_line::elfcorehdr)
            .and_then(|at| Headers::read(physical, at));
        let crash_note = headers.and_then(|headers| crash_note::find(physical, &headers));
        Self { entry, program, zero_page, command_line, report_field, report, headers, crash_note }
    }

    /// Whether the elfcorehdr is the loader's although the kernel had rewritten it. Then the
    /// purgatory restored its copy, which lacks later hotplug changes.
    pub fn outdated(&self) -> bool {
        let restored = self.report.is_ok_and(|report| report.elfcorehdr == Elfcorehdr::Restored);
        restored && self.rewritten()
    }

    /// Whether the crash kernel has rewritten the elfcorehdr.
    pub fn rewritten(&self) -> bool {
        self.crash_note.is_ok_and(|found| found.note.rewritten.get() != 0)
    }
}
