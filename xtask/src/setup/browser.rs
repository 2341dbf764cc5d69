//! A browser without windows, for `cargo lab pages`: Chromium's headless shell, with the
//! libraries that the machine lacks, and fonts.
//!
//! * On exit: a program that has printed its version. The fonts are always fetched, so that text
//!   has the same width on every machine.

use std::path::Path;

use anyhow::{Context, Result};
use qemu_runner::assets::Browser;
use xshell::cmd;

use super::Supply;
use super::apt::Release;
use crate::command;

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

pub fn get(supply: &Supply<'_>, tree: &Path) -> Result<Browser> {
    let root = supply.root(Release::Machine)?;
    // Reinstalled packages are planned, although this machine may have them.
    let packages = root.closure(&["--reinstall", PACKAGE, FONTS], None)?;
    root.unpack(&packages, tree)?;
    let program = tree.join(PROGRAM);
    let directories = LIBRARIES.iter().map(|dir| tree.join(dir));
    let library_path = directories.filter(|dir| dir.is_dir()).collect();
    let fonts = tree.join("fonts.conf");
    let xml = tree.display().to_string().replace('&', "&amp;").replace('<', "&lt;");
    let text = FONTS_CONF
        .replace("@FONTS@", &format!("{xml}/usr/share/fonts"))
        .replace("@CACHE@", &format!("{xml}/font-cache"));
    supply.sh.write_file(&fonts, text)?;
    let mut browser = Browser { program, library_path, fonts, version: String::new() };
    let program = &browser.program;
    let version = cmd!(supply.sh, "{program} --version").envs(browser.environment());
    let said = command::read(version).context("the unpacked browser does not run here")?;
    browser.version = said.lines().next().unwrap_or_default().trim().to_owned();
    Ok(browser)
}
