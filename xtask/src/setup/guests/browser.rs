//! A browser without windows, for tests of pages and pictures: Chromium's headless shell, with the
//! libraries that the machine lacks, and fonts.
//!
//! * On exit: a program that has printed its version. The fonts are always fetched, so that text
//!   has the same width on every machine.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use qemu_runner::assets::Browser;
use xshell::cmd;

use crate::command;
use crate::setup::apt::root::Package;
use crate::setup::apt::suites::Purpose;
use crate::setup::supply::{Files, Found, Supply};

/// Two thirds of the size of the whole browser, which has GTK.
const PACKAGE: &str = "chromium-headless-shell";
const FONTS: &str = "fonts-dejavu-core";
/// The program. In /usr/bin there is a script, which works only if the package is installed.
const PROGRAM: &str = "usr/lib/chromium/chromium-headless-shell";
/// The tree's directories for LD_LIBRARY_PATH. libpulse names its private library by an absolute
/// path.
const LIBRARIES: [&str; 3] =
    ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu/pulseaudio"];
/// fonts.conf(5): these fonts alone, whatever a page names.
const FONTS_CONF: &str = include_str!("browser/fonts.conf");

/// Fetches the browser.
pub fn get(supply: &Supply<'_>, tree: &Path) -> Result<Found<Browser>> {
    let root = supply.root(Purpose::Machine)?;
    if root.newest(PACKAGE, |_| true)?.is_none() {
        return Ok(Found::missing(format!("no package {PACKAGE} in the archive's index")));
    }
    // Empty if the browser is installed.
    let mut packages = root.closure(&[PACKAGE], None)?;
    packages.retain(|package| package.name != FONTS);
    packages.insert(
        0,
        root.newest(FONTS, |_| true)?
            .with_context(|| format!("no package {FONTS} in the archive's index"))?,
    );
    supply.unpack(&root, &packages, tree)?;
    let installed = Path::new("/").join(PROGRAM);
    let program = [tree.join(PROGRAM), installed].into_iter().find(|program| program.is_file());
    let program = program.with_context(|| format!("{PACKAGE} contains no {PROGRAM}"))?;
    let library_path =
        LIBRARIES.iter().map(|dir| tree.join(dir)).filter(|dir| dir.is_dir()).collect();
    let fonts = tree.join("fonts.conf");
    supply.sh.write_file(&fonts, fonts_conf(tree))?;
    let mut browser = Browser { program, library_path, fonts, version: String::new() };
    browser.version =
        version(supply, &browser).context("the unpacked browser does not run on this machine")?;
    Ok(Found::present(browser, packages.iter().map(Package::spec).collect()))
}

/// fontconfig's configuration, with paths escaped for XML.
fn fonts_conf(tree: &Path) -> String {
    let at = |below: &str| {
        tree.join(below).display().to_string().replace('&', "&amp;").replace('<', "&lt;")
    };
    FONTS_CONF.replace("@FONTS@", &at("usr/share/fonts")).replace("@CACHE@", &at("font-cache"))
}

fn version(supply: &Supply<'_>, browser: &Browser) -> Result<String> {
    let program = &browser.program;
    let mut command = cmd!(supply.sh, "{program} --version");
    for (variable, value) in browser.environment() {
        command = command.env(variable, value);
    }
    Ok(command::read(command)?.lines().next().unwrap_or_default().trim().to_owned())
}

impl Files for Browser {
    fn files(&self) -> Vec<&Path> {
        [&self.program, &self.fonts]
            .into_iter()
            .chain(&self.library_path)
            .map(PathBuf::as_path)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_fonts_are_escaped_for_xml() {
        let text = fonts_conf(Path::new("/a & b/<c>"));
        assert!(
            text.contains("<dir>/a &amp; b/&lt;c>/usr/share/fonts</dir>") && !text.contains('@'),
            "{text}"
        );
    }
}
