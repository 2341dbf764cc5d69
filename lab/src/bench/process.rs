//! (5) One contestant as a process of its own: a peer that finds a wrong digest hangs, and must be
//! killed from outside.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use handoff::EngineId;
use serde::{Deserialize, Serialize};

use super::image::Image;

/// Longest time for one image. Contestants in C take a dozen seconds for 4 GiB.
const LIMIT: Duration = Duration::from_secs(600);
/// How long a contestant must hang to count as hanging. A sound image takes it 0.1 s.
const HANGS: Duration = Duration::from_secs(8);
/// Time between two looks at the process.
const LOOK: Duration = Duration::from_millis(5);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verifier {
    /// This project's purgatory, from its first Rust function to the jump.
    Ours { engine: String },
    /// The function `purgatory` of an object that kexec-tools or the kernel would bind.
    Peer { object: PathBuf },
    /// openssl's SHA-256, as the crate `ring` has it, over the bytes that came from files.
    Openssl,
    /// The floor: every byte is read once.
    Read,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Task {
    pub verifier: Verifier,
    pub image: Image,
    pub repetitions: u32,
    /// Whether a bit in the middle of the initrd is flipped first.
    pub flip: bool,
    /// Whether the process stops itself (SIGSTOP) before and after each verification.
    pub stop: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// CPU time of each repetition.
    pub seconds: Vec<f64>,
    /// Bytes of all verified segments, with the zeros after what came from files.
    pub memory_bytes: u64,
    /// Bytes of these that went through SHA-256.
    pub hashed_bytes: u64,
    /// Whether memory was accepted every time.
    pub sound: bool,
    /// The contestant's own words.
    pub verdict: String,
}

#[derive(Clone, Debug)]
pub struct Process {
    pub name: String,
    pub version: String,
    verifier: Verifier,
}

impl Process {
    pub fn new(name: &str, version: &str, verifier: Verifier) -> Self {
        Self { name: name.into(), version: version.into(), verifier }
    }

    pub fn ours(engine: EngineId) -> Self {
        let verifier = Verifier::Ours { engine: engine.word().into() };
        Self::new(&format!("ours, {}", engine.word()), env!("CARGO_PKG_VERSION"), verifier)
    }

    /// The command for a task, which is adjusted first.
    pub fn command(&self, image: &Image, adjust: impl FnOnce(&mut Task)) -> Result<Command> {
        let (verifier, image) = (self.verifier.clone(), image.clone());
        let mut task = Task { verifier, image, repetitions: 1, flip: false, stop: false };
        adjust(&mut task);
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["contestant", &serde_json::to_string(&task)?]);
        Ok(command)
    }

    pub fn verify(&self, image: &Image, repetitions: u32) -> Result<Answer> {
        let command = self.command(image, |task| task.repetitions = repetitions)?;
        match self.answer_within(LIMIT, command)? {
            Some(answer) => Ok(answer),
            None => bail!("{} runs for more than {} s", self.name, LIMIT.as_secs()),
        }
    }

    /// Shows that a sound image is accepted and one with a flipped bit is not; says how.
    pub fn rejects_a_flipped_bit(&self) -> Result<String> {
        let Self { name, verifier, .. } = self;
        let sound = self.verify(&Image::small(), 1)?;
        ensure!(sound.sound, "{name} rejects a sound image: {}", sound.verdict);
        if *verifier == Verifier::Read {
            return Ok(format!("{name} verifies nothing"));
        }
        let flip = self.command(&Image::small(), |task| task.flip = true)?;
        let hangs = matches!(verifier, Verifier::Peer { .. });
        match self.answer_within(HANGS, flip)? {
            None if hangs => Ok(format!("{name} accepts an image, and hangs on a flipped bit")),
            Some(answer) if !answer.sound && !hangs => Ok(format!(
                "{name} accepts an image, and rejects a flipped bit: {}",
                answer.verdict
            )),
            other => bail!("{name} does not reject an image with a flipped bit: {other:?}"),
        }
    }

    /// The answer, or `None` if there is none within `limit`.
    fn answer_within(&self, limit: Duration, mut command: Command) -> Result<Option<Answer>> {
        let what = || self.name.clone();
        let started = Instant::now();
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = Killed(child.with_context(what)?);
        let status = loop {
            if let Some(status) = child.0.try_wait().with_context(what)? {
                break status;
            }
            if started.elapsed() > limit {
                return Ok(None);
            }
            thread::sleep(LOOK);
        };
        let (mut out, mut err) = (String::new(), String::new());
        child.0.stdout.take().context("no stdout")?.read_to_string(&mut out).with_context(what)?;
        child.0.stderr.take().context("no stderr")?.read_to_string(&mut err).with_context(what)?;
        ensure!(status.success(), "{status}: {}", err.trim());
        Ok(Some(serde_json::from_str(&out).with_context(|| format!("{} said {out:?}", self.name))?))
    }
}

/// A process that is killed with this value.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
