//! Problems of the armed image's command line that the record lacks, because an older loader with
//! fewer warnings armed it.

use std::path::Path;

use loader::cmdline::Base;
use loader::machine::Reservation;

use super::capture::Capture;
use super::files::Files;
use super::room::possible_cpus;
use crate::findings::Finding;
use crate::findings::advice;
use crate::findings::recorded::RecordedAdvice;

pub(super) fn look(
    root: &Path,
    capture: &Capture,
    recorded: &[RecordedAdvice],
    findings: &mut Vec<Finding>,
) {
    let regions = Reservation::read(root).map_or(Vec::new(), |machine| machine.crash_regions);
    let base = Base::from(capture.command_line.as_str());
    let (release, cpus) = (capture.release.as_deref(), possible_cpus(Files::new(root)));
    let advice = advice::of_line(&base, release, cpus, &regions);
    let new = advice.iter().map(RecordedAdvice::from).filter(|advice| {
        !recorded
            .iter()
            .any(|recorded| recorded.code == advice.code || recorded.message == advice.message)
    });
    findings.extend(new.map(|advice| advice.finding()));
}
