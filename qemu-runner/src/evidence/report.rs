//! The purgatory's report, parsed from the capture kernel's /proc/cmdline.

use handoff::report::{Elfcorehdr, PARAMETER, Report};
use handoff::{EngineId, RegionKind, Verdict};

use crate::error::Error;

/// The report in `command_line`.
pub fn parse(command_line: &str) -> Result<Report, Error> {
    let parameter = PARAMETER.trim_start();
    let report = command_line.split_whitespace().find_map(|word| word.strip_prefix(parameter));
    let absent = || Error::Failed(format!("no{PARAMETER} in the command line {command_line:?}"));
    let report = report.ok_or_else(absent)?;
    read(report).ok_or_else(|| Error::unreadable("the purgatory's report", report))
}

/// What stands after the parameter: the verdict, then `NAME:VALUE,…`.
fn read(report: &str) -> Option<Report> {
    let verdict = report.split(',').next()?;
    let field =
        |name: &str| report.split(',').find_map(|word| word.strip_prefix(name)?.strip_prefix(':'));
    let known = [Elfcorehdr::Ok, Elfcorehdr::Restored, Elfcorehdr::Broken];
    let segment = |name: &str| RegionKind::ALL.into_iter().find(|kind| kind.name() == name);
    Some(Report {
        verdict: *Verdict::ALL.iter().find(|known| known.word() == verdict)?,
        segment: match field("segment") {
            Some(name) => Some(segment(name)?),
            None => None,
        },
        engine: *EngineId::ALL.iter().find(|known| Some(known.word()) == field("engine"))?,
        microseconds: field("us")?.parse().ok()?,
        nmis: field("nmi")?.parse().ok()?,
        elfcorehdr: known.into_iter().find(|known| Some(known.word()) == field("elfcorehdr"))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_report_is_read_as_it_was_written() {
        for &verdict in Verdict::ALL {
            for segment in RegionKind::ALL.map(Some).into_iter().chain([None]) {
                let report = Report {
                    verdict,
                    segment,
                    engine: EngineId::ShaNi,
                    microseconds: 7312,
                    nmis: 3,
                    elfcorehdr: Elfcorehdr::Restored,
                };
                assert_eq!(parse(&format!("quiet{PARAMETER}{report}   ")).unwrap(), report);
            }
        }
    }

    #[test]
    fn unfilled_field_is_no_report() {
        for line in [
            "quiet",
            "purgatory.report=   quiet",
            "purgatory.report=ok,engine:md5,us:1,nmi:0,elfcorehdr:ok",
            "purgatory.report=ok,engine:soft,us:1,nmi:0",
            "purgatory.report=ok,segment:none,engine:soft,us:1,nmi:0,elfcorehdr:ok",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
