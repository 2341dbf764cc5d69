//! lintian and rpmlint, neither of which may warn. A tool that is not installed is skipped, with a
//! message.

use anyhow::{Result, bail};
use xshell::{Shell, cmd};

use crate::command;
use crate::repository::Repository;

/// rpmlint's false warnings, each with its reason.
const RPMLINT: &str = include_str!("rpm/rpmlint.toml");

pub fn check(sh: &Shell, repo: &Repository) -> Result<()> {
    let (deb, rpm) = (repo.debian_package(), repo.rpm_package());
    if is_installed(sh, "lintian") {
        quiet("lintian", cmd!(sh, "lintian --fail-on error,warning --allow-root {deb}"))?;
    }
    if is_installed(sh, "rpmlint") {
        let config = sh.create_temp_dir()?;
        let config = config.path().join("rpmlint.toml");
        sh.write_file(&config, RPMLINT)?;
        quiet("rpmlint", cmd!(sh, "rpmlint --strict --config {config} {rpm}"))?;
    }
    Ok(())
}

fn is_installed(sh: &Shell, program: &str) -> bool {
    let found = command::is_installed(sh, program);
    if !found {
        println!("skipped: {program} is not installed");
    }
    found
}

/// Fails if the command fails, with its output.
fn quiet(name: &str, command: xshell::Cmd<'_>) -> Result<()> {
    let output = command.quiet().ignore_status().output()?;
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("{name} reports faults of the package:\n{said}");
    }
    println!("{name}: no error and no warning");
    Ok(())
}
