//! A browser without windows, and the Chrome DevTools Protocol over a pipe: JSON, each message ended by a NUL.
//!
//! A client as a crate would be larger than all that is said here: headless_chrome 1.0.22 with what it depends on takes 83 s of CPU to compile, 25 000
//! of its lines are made from the protocol's description, and its browser is served at a port where others can knock.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use qemu_runner::assets;
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long the browser may think about one thing; on two idle cores, a start takes 1 s.
const PATIENCE: Duration = Duration::from_secs(120);
/// As root there is no sandbox to be had; without the rest it would look for updates and for a GPU.
const OPTIONS: [&str; 13] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--remote-debugging-pipe",
];
/// The protocol is on descriptors 3 and 4 (`--remote-debugging-pipe`, Chromium's headless/README.md); what the browser prints is not wanted.
const PIPES: &str = r#"exec "$@" 3<&0 4>&1 0</dev/null 1>/dev/null 2>/dev/null"#;

/// A running browser. Its end is this value's.
pub struct Browser {
    child: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    events: Vec<Value>,
    calls: u64,
    session: Option<String>,
    _profile: TempDir,
}

impl Browser {
    /// Starts one with an empty profile and an empty tab.
    pub fn start(browser: &assets::Browser) -> Result<Self, String> {
        let profile = TempDir::new().map_err(|error| format!("no directory for a profile: {error}"))?;
        let mut command = Command::new("sh");
        command.args(["-c", PIPES, "sh"]).arg(&browser.program).args(OPTIONS);
        command.arg(format!("--user-data-dir={}", profile.path().display())).arg("about:blank");
        command.envs(browser.environment()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("cannot start {}: {error}", browser.program.display()))?;
        let (to, from) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        let (sender, receiver) = channel();
        thread::spawn(move || {
            for message in BufReader::new(from).split(0) {
                let parsed = message.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
                // An end, or whatever is not JSON, is the end; so is a listener who has gone.
                if parsed.is_none_or(|value| sender.send(value).is_err()) {
                    break;
                }
            }
        });
        let mut browser = Self { child, to, from: receiver, events: Vec::new(), calls: 0, session: None, _profile: profile };
        let target = browser.call("Target.createTarget", &json!({"url": "about:blank"}))?;
        let attached = browser.call("Target.attachToTarget", &json!({"targetId": target["targetId"], "flatten": true}))?;
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        Ok(browser)
    }

    /// Calls a method and waits for its result.
    pub fn call(&mut self, method: &str, parameters: &Value) -> Result<Value, String> {
        self.calls += 1;
        let mut message = json!({"id": self.calls, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        let sent = self.to.write_all(format!("{message}\0").as_bytes()).and_then(|()| self.to.flush());
        sent.map_err(|error| format!("{method}: the browser does not listen: {error}"))?;
        loop {
            let message = self.next(method)?;
            if message["id"] != self.calls {
                self.events.push(message);
            } else if message["error"].is_null() {
                return Ok(message["result"].clone());
            } else {
                return Err(format!("{method}: {}", message["error"]));
            }
        }
    }

    /// Waits for an event.
    pub fn await_event(&mut self, method: &str) -> Result<(), String> {
        while !self.events.iter().any(|event| event["method"] == method) {
            let event = self.next(method)?;
            self.events.push(event);
        }
        Ok(())
    }

    /// All events since this was called last.
    pub fn take_events(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.events)
    }

    fn next(&self, what: &str) -> Result<Value, String> {
        self.from.recv_timeout(PATIENCE).map_err(|error| match error {
            RecvTimeoutError::Timeout => format!("{what}: the browser has said nothing for {} s", PATIENCE.as_secs()),
            RecvTimeoutError::Disconnected => format!("{what}: the browser has gone"),
        })
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It has children of its own, which end when it does.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
