//! `kdump-loader unload`, also when systemd stops the service.
//!
//! systemd runs the same ExecStop= for a stop and for a restart. A restart must not disarm: if the
//! new image could not be built, nothing would be armed.

use std::path::Path;
use std::process::{Command, Stdio};

use super::{Error, LIVE};
use crate::arm::unload;
use crate::cli::Unload;
use crate::messages::say;

pub fn run(Unload { if_stopped }: &Unload) -> Result<(), Error> {
    if let Some(unit) = if_stopped
        && is_restarted(unit)?
    {
        say(format_args!("systemd restarts {unit}, so the armed image stays armed"));
        return Ok(());
    }
    Ok(unload::unload(Path::new(LIVE))?)
}

/// Whether systemd restarts this unit. Fails if systemd neither stops nor restarts it.
fn is_restarted(unit: &str) -> Result<bool, Error> {
    let unknown = |source| Error::NoStop { unit: unit.to_owned(), source };
    let mut systemctl = Command::new("systemctl");
    systemctl.args(["list-jobs", "--full", "--no-legend", unit]).stderr(Stdio::inherit());
    let output = systemctl.output().map_err(|source| unknown(Some(source)))?;
    match job(&String::from_utf8_lossy(&output.stdout), unit) {
        Some("stop") => Ok(false),
        Some("restart") => Ok(true),
        _ => Err(unknown(None)),
    }
}

/// The type of this unit's job. The columns of `systemctl list-jobs` are JOB, UNIT, TYPE and STATE.
fn job<'a>(jobs: &'a str, unit: &str) -> Option<&'a str> {
    jobs.lines().find_map(|line| line.split_whitespace().skip_while(|word| *word != unit).nth(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn job_of_the_unit_is_found_among_others() {
        // The first is of systemd 239, which aligns the columns.
        for jobs in [
            "  7 kdump-loader.service        stop    waiting\n  9 kdump-loader-disarm.service restart running\n",
            "9 kdump-loader-disarm.service restart running\n",
        ] {
            assert_eq!(job(jobs, "kdump-loader-disarm.service"), Some("restart"));
        }
        assert_eq!(
            job("7 kdump-loader.service stop running\n", "kdump-loader-disarm.service"),
            None
        );
        assert_eq!(job("No jobs running.\n", "kdump-loader-disarm.service"), None);
    }
}
