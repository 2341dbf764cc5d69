//! What lintian and rpmlint say of the packages: neither may warn. Each is skipped where it is not installed, and that is said.

use anyhow::{Result, bail};
use xshell::{Shell, cmd};

use crate::repository::Repository;

/// What rpmlint would say without reason, and why.
const RPMLINT: &str = include_str!("rpm/rpmlint.toml");

/// Asks both.
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
    let found = cmd!(sh, "{program} --version").quiet().ignore_stdout().ignore_stderr().run().is_ok();
    if !found {
        println!("skipped: {program} is not installed");
    }
    found
}

/// Fails if the command does, with everything that it says.
fn quiet(name: &str, command: xshell::Cmd<'_>) -> Result<()> {
    let output = command.quiet().ignore_status().output()?;
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("{name} finds fault with the package:\n{said}");
    }
    println!("{name}: no error and no warning");
    Ok(())
}
