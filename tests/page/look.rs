//! Looks at a file: what is shown where and in which colours, what was fetched, what the console says.

use std::fmt;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::devtools::Browser;

/// Asks a document what it shows.
const MEASURE: &str = include_str!("measure.js");

/// How it is looked at.
#[derive(Clone, Copy)]
pub struct View {
    /// On what.
    pub size: Size,
    /// In which colours.
    pub scheme: Scheme,
}

/// On what.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// A window on a desk.
    Desk,
    /// A telephone.
    Telephone,
}

impl Size {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Desk, Self::Telephone];

    /// Width and height in pixels.
    const fn pixels(self) -> (u32, u32) {
        match self {
            Self::Desk => (1100, 900),
            Self::Telephone => (390, 844),
        }
    }
}

/// `prefers-color-scheme`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

impl Scheme {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Light, Self::Dark];

    const fn word(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
}

impl fmt::Display for View {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}-{}", self.size.pixels().0, self.scheme.word())
    }
}

/// What was seen.
pub struct Seen {
    /// Answers of `measure.js`, one for each line of text.
    pub texts: Vec<Value>,
    /// Of each line that frames something, its contrast with the ground.
    pub frames: Vec<f64>,
    /// Colour of the ground.
    pub ground: String,
    /// Width of the window, and of what is in it.
    pub widths: (f64, f64),
    /// Everything that was asked for but the file itself.
    pub fetched: Vec<String>,
    /// What the console has said.
    pub console: Vec<String>,
}

/// Looks at `file` and leaves a picture of it.
pub fn at(browser: &mut Browser, file: &Path, view: View, screenshot: &Path) -> Result<Seen, String> {
    let (width, height) = view.size.pixels();
    for domain in ["Page", "Network", "Runtime", "Log"] {
        browser.call(&format!("{domain}.enable"), &json!({}))?;
    }
    let scheme = json!([{"name": "prefers-color-scheme", "value": view.scheme.word()}]);
    browser.call("Emulation.setEmulatedMedia", &json!({"features": scheme}))?;
    let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
    browser.call("Emulation.setDeviceMetricsOverride", &metrics)?;
    browser.take_events();
    let url = format!("file://{}", file.display());
    browser.call("Page.navigate", &json!({"url": url}))?;
    browser.await_event("Page.loadEventFired")?;
    let answer = browser.call("Runtime.evaluate", &json!({"expression": MEASURE, "returnByValue": true}))?;
    let shot = browser.call("Page.captureScreenshot", &json!({"format": "png", "captureBeyondViewport": true}))?;
    save(&shot, screenshot)?;
    let seen = &answer["result"]["value"];
    if seen.is_null() {
        return Err(format!("{} cannot be measured: {answer}", file.display()));
    }
    let events = browser.take_events();
    let asked = events.iter().filter(|event| event["method"] == "Network.requestWillBeSent");
    let asked = asked.filter_map(|event| event["params"]["request"]["url"].as_str()).filter(|asked| *asked != url);
    let number = |key: &str| seen[key].as_f64().unwrap_or(f64::NAN);
    let list = |key: &str| seen[key].as_array().cloned().unwrap_or_default();
    Ok(Seen {
        texts: list("texts"),
        frames: list("frames").iter().filter_map(Value::as_f64).collect(),
        ground: seen["ground"].as_str().unwrap_or_default().to_owned(),
        widths: (number("window"), number("content")),
        fetched: asked.map(str::to_owned).collect(),
        console: events.iter().filter_map(said).collect(),
    })
}

/// What an event says on the console.
fn said(event: &Value) -> Option<String> {
    let parameters = &event["params"];
    match event["method"].as_str()? {
        "Runtime.consoleAPICalled" => Some(parameters["args"].to_string()),
        "Runtime.exceptionThrown" => Some(parameters["exceptionDetails"].to_string()),
        "Log.entryAdded" => Some(parameters["entry"]["text"].to_string()),
        _ => None,
    }
}

/// The protocol brings pictures in base64.
fn save(shot: &Value, file: &Path) -> Result<(), String> {
    let text = shot["data"].as_str().ok_or("the browser has sent no screenshot")?;
    let bytes = BASE64_STANDARD.decode(text).map_err(|error| format!("the screenshot is no base64: {error}"))?;
    std::fs::write(file, bytes).map_err(|error| format!("cannot write {}: {error}", file.display()))
}
