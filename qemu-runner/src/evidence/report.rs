//! The purgatory's report, parsed from the capture kernel's /proc/cmdline.

use handoff::report::{Elfcorehdr, PARAMETER, Report};
use handoff::{EngineId, RegionKind, Verdict};

/// Why a command line has no report that can be understood.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// The parameter is absent.
    #[error("the capture kernel's command line has no{PARAMETER}: {command_line:?}")]
    Absent {
        /// The whole command line.
        command_line: String,
    },
    /// A word of it is missing or unknown.
    #[error("the report {report:?} has no {field} that can be understood")]
    Field {
        /// The whole report.
        report: String,
        /// Which part.
        field: &'static str,
    },
}

crate::error::evidence!(Error);

/// The report in `command_line`.
pub fn parse(command_line: &str) -> Result<Report, Error> {
    let absent = || Error::Absent { command_line: command_line.to_owned() };
    let parameter = PARAMETER.trim_start();
    let report = command_line
        .split_whitespace()
        .find_map(|word| word.strip_prefix(parameter))
        .ok_or_else(absent)?;
    let missing = |field| move || Error::Field { report: report.to_owned(), field };

    let mut words = report.split(',');
    let verdict =
        words.next().and_then(|word| Verdict::ALL.iter().find(|verdict| verdict.word() == word));
    let verdict = *verdict.ok_or_else(missing("verdict"))?;
    let field = |name: &'static str| {
        report
            .split(',')
            .find_map(|word| word.strip_prefix(name)?.strip_prefix(':'))
            .ok_or_else(missing(name))
    };
    let segment = match field("segment") {
        Ok(name) => {
            let kind = RegionKind::ALL.into_iter().find(|kind| kind.name() == name);
            Some(kind.ok_or_else(missing("segment"))?)
        }
        Err(_) => None,
    };
    let engine = field("engine")?;
    let engine =
        EngineId::ALL.iter().find(|known| known.word() == engine).ok_or_else(missing("engine"))?;
    let elfcorehdr = field("elfcorehdr")?;
    let known = [Elfcorehdr::Ok, Elfcorehdr::Restored, Elfcorehdr::Broken];
    let elfcorehdr = known
        .into_iter()
        .find(|known| known.word() == elfcorehdr)
        .ok_or_else(missing("elfcorehdr"))?;
    Ok(Report {
        verdict,
        segment,
        engine: *engine,
        microseconds: field("us")?.parse().map_err(|_| missing("us")())?,
        nmis: field("nmi")?.parse().map_err(|_| missing("nmi")())?,
        elfcorehdr,
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
                assert_eq!(parse(&format!("quiet{PARAMETER}{report}   ")), Ok(report));
            }
        }
    }

    #[test]
    fn unfilled_field_is_no_report() {
        assert!(matches!(parse("quiet"), Err(Error::Absent { .. })));
        assert!(matches!(
            parse("purgatory.report=   quiet"),
            Err(Error::Field { field: "verdict", .. })
        ));
        assert!(matches!(
            parse("purgatory.report=ok,engine:md5,us:1,nmi:0,elfcorehdr:ok"),
            Err(Error::Field { .. })
        ));
    }
}
