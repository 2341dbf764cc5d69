//! A browser without windows, to look at pages and pictures: Chromium's headless shell with the libraries that the machine lacks, and a typeface.
//!
//! On exit: a program that has been seen to tell its version. The typeface is always ours, so that text is as wide here as anywhere.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use qemu_runner::assets::{Browser, Part};
use xshell::cmd;

use crate::command;
use crate::setup::apt_root::Package;
use crate::setup::suites::Purpose;
use crate::setup::supply::{Files, Found, Supply};

/// A third smaller than the whole browser, which comes with GTK.
const PACKAGE: &str = "chromium-headless-shell";
const FONTS: &str = "fonts-dejavu-core";
/// Where Debian's package puts the program; what it links to in /usr/bin is a script for installed ones.
const PROGRAM: &str = "usr/lib/chromium/chromium-headless-shell";
/// What of the tree goes into LD_LIBRARY_PATH. libpulse's private library is named by an absolute path.
const LIBRARIES: [&str; 3] = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu/pulseaudio"];
/// fonts.conf(5): these fonts alone, whatever a page asks for.
const FONTS_CONF: &str = include_str!("browser/fonts.conf");

/// Fetches the browser.
pub fn get(supply: &Supply<'_>, tree: &Path) -> Result<Found<Browser>> {
    let root = supply.root(Purpose::Machine)?;
    if root.newest(PACKAGE, |_| true)?.is_none() {
        return Ok(Found { part: Part::Missing(format!("no package {PACKAGE} in the archive's index")), packages: Vec::new() });
    }
    // Nothing of it where it is installed.
    let mut packages = root.closure(PACKAGE, None)?;
    packages.retain(|package| package.name != FONTS);
    packages.insert(0, root.newest(FONTS, |_| true)?.with_context(|| format!("no package {FONTS} in the archive's index"))?);
    supply.unpack(&root, &packages, tree)?;
    let installed = Path::new("/").join(PROGRAM);
    let program = [tree.join(PROGRAM), installed].into_iter().find(|program| program.is_file());
    let program = program.with_context(|| format!("{PACKAGE} contains no {PROGRAM}"))?;
    let library_path = LIBRARIES.iter().map(|dir| tree.join(dir)).filter(|dir| dir.is_dir()).collect();
    let fonts = tree.join("fonts.conf");
    supply.sh.write_file(&fonts, fonts_conf(tree))?;
    let mut browser = Browser { program, library_path, fonts, version: String::new() };
    browser.version = version(supply, &browser).context("the unpacked browser does not run on this machine")?;
    Ok(Found { packages: packages.iter().map(Package::spec).collect(), part: Part::Present(browser) })
}

/// fontconfig's configuration, with paths as XML has them.
fn fonts_conf(tree: &Path) -> String {
    let at = |below: &str| tree.join(below).display().to_string().replace('&', "&amp;").replace('<', "&lt;");
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
        [&self.program, &self.fonts].into_iter().chain(&self.library_path).map(PathBuf::as_path).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fonts_are_those_of_the_tree_wherever_it_lies() {
        let text = fonts_conf(Path::new("/a & b/<c>"));
        assert!(text.contains("<dir>/a &amp; b/&lt;c>/usr/share/fonts</dir>") && !text.contains('@'), "{text}");
    }
}
