//! One subject in a browser without windows. Chromium's headless shell does all of it in one call:
//! it prints the document (`--dump-dom`) and leaves a screenshot.

use std::fmt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use qemu_runner::assets;
use serde::Deserialize;
use tempfile::TempDir;

use super::subjects::Subject;

/// Has the document write what it shows into itself.
const MEASURE: &str = include_str!("measure.js");
/// What surrounds that in the printed document.
const MEASURED: [&str; 2] = ["<pre id=\"measured\" hidden=\"\">", "</pre>"];
/// A page permits no script. The copy that is measured permits the measuring one, and may fetch:
/// a page that asks for something is noticed.
const POLICY: [&str; 2] = ["default-src 'none'", "script-src 'unsafe-inline'"];
/// As root there is no sandbox. The rest keeps text and colors the same on every machine.
const OPTIONS: [&str; 7] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--enable-logging=stderr",
    "--dump-dom",
];
/// How a line of the log begins that the document wrote to the console.
const CONSOLE: &str = ":CONSOLE";

#[derive(Clone, Copy)]
pub struct View {
    size: (u32, u32),
    is_dark: bool,
}

impl View {
    /// A desk and a phone, each in light and dark.
    pub const ALL: [Self; 4] = [
        Self { size: (1280, 1000), is_dark: false },
        Self { size: (1280, 1000), is_dark: true },
        Self { size: (390, 844), is_dark: false },
        Self { size: (390, 844), is_dark: true },
    ];

    pub fn is_phone(self) -> bool {
        self.size.0 < 600
    }
}

impl fmt::Display for View {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}-{}", self.size.0, if self.is_dark { "dark" } else { "light" })
    }
}

/// Edges of a box, in pixels.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Edges {
    pub left: f64,
    pub top: f64,
    pub right: f64,
    pub bottom: f64,
}

#[derive(Debug, Deserialize)]
pub struct Text {
    pub text: String,
    pub edges: Edges,
    /// Room above and below the letters that belongs to the line.
    pub leading: f64,
    /// Pixels of the type.
    pub size: f64,
    /// The picture that it is in.
    pub picture: Option<Edges>,
    /// Numbers of the texts that contain it.
    pub within: Vec<usize>,
    /// With its ground.
    pub contrast: f64,
}

#[derive(Debug, Deserialize)]
pub struct Seen {
    pub texts: Vec<Text>,
    /// Contrast of each line that means something.
    pub lines: Vec<f64>,
    /// Color behind the first text.
    pub ground: String,
    /// Width of the window, and of what is in it.
    pub widths: (f64, f64),
    /// Everything that it asked for.
    pub fetched: Vec<String>,
    /// Lines that it wrote to the console.
    #[serde(default)]
    pub console: Vec<String>,
}

/// The browser, and where screenshots are left.
pub struct Browser<'a> {
    pub browser: &'a assets::Browser,
    pub left: PathBuf,
}

impl Browser<'_> {
    pub fn look(&self, subject: &Subject, view: View) -> Result<Seen> {
        let Subject { name, text, .. } = subject;
        let page = self.left.join(format!("{name}.html"));
        let text = text.replace(POLICY[0], POLICY[1]);
        std::fs::write(&page, format!("{text}<script>{MEASURE}</script>\n"))?;
        let profile = TempDir::new()?;
        let screenshot = self.left.join(format!("{name}-{view}.png"));
        let (width, height) = view.size;
        let output = Command::new(&self.browser.program)
            .args(OPTIONS)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(format!("--window-size={width},{height}"))
            // Blink's PreferredColorScheme: 0 dark, 1 light.
            .arg(format!("--blink-settings=preferredColorScheme={}", u8::from(!view.is_dark)))
            .arg(format!("--screenshot={}", screenshot.display()))
            .arg(format!("file://{}", page.display()))
            .envs(self.browser.environment())
            .output()
            .with_context(|| format!("cannot start {}", self.browser.program.display()))?;
        ensure!(output.status.success(), "the browser failed ({})", output.status);
        let [dom, log] =
            [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        let measured =
            dom.split_once(MEASURED[0]).and_then(|(_, rest)| rest.split_once(MEASURED[1]));
        let (measured, _) = measured.with_context(|| format!("{name} was not measured: {dom}"))?;
        let mut seen: Seen = serde_json::from_str(measured).context("what was measured")?;
        seen.console =
            log.lines().filter(|line| line.contains(CONSOLE)).map(str::to_owned).collect();
        Ok(seen)
    }
}
