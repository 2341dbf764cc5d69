//! Who takes part, and how each is started: always a process of its own.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use xshell::Shell;

use super::images::Image;
use crate::build::drop_in::DropIn;
use crate::peers;
use crate::repository::Repository;

/// Longest that a contestant may take for one image: those in C take a dozen seconds for 4 GiB.
const LIMIT: Duration = Duration::from_secs(600);
/// How long a contestant is watched that stands still for ever on a bad digest. Without the flipped bit it needs a tenth of a second.
const STANDS_STILL: Duration = Duration::from_secs(8);
/// How often somebody looks whether it has ended.
const LOOK: Duration = Duration::from_millis(5);

/// One of them.
#[derive(Clone, Debug)]
pub struct Contestant {
    /// As in tables.
    pub name: String,
    /// Whose code it is, with its version.
    pub version: String,
    /// Arguments of the program.
    arguments: Vec<String>,
    /// Whether it notices anything at all.
    verifies: bool,
    /// Whether it stands still for ever when something is wrong.
    stands_still: bool,
}

/// What the program prints (`bench/src/answer.rs`).
#[derive(Clone, Debug, Deserialize)]
pub struct Answer {
    /// Wall time of each repetition.
    pub seconds: Vec<f64>,
    /// Bytes that came from files.
    pub file_bytes: u64,
    /// Those and the zeroes behind them.
    pub memory_bytes: u64,
    /// Of these, bytes that went through SHA-256.
    pub hashed_bytes: u64,
    /// Whether memory was found to be sound.
    pub sound: bool,
    /// In its own words.
    pub verdict: String,
}

/// All of them; those that this machine cannot run are named on stderr and left out.
pub fn all(sh: &Shell, repo: &Repository) -> Result<Vec<Contestant>> {
    let mut all = Vec::new();
    for engine in handoff::EngineId::ALL {
        let ours = Contestant::ours(*engine);
        match ours.run(repo, &Image::small(repo), 1, false) {
            Ok(_) => all.push(ours),
            Err(error) => eprintln!("left out: {}: {error:#}", ours.name),
        }
    }
    for (peer, _) in peers::prove(sh, repo)? {
        let name = if peer.name.starts_with("linux") { "linux" } else { "kexec-tools" };
        let object = peer.object.display().to_string();
        let arguments = ["--contestant", name, "--peer", &object].map(String::from).to_vec();
        all.push(Contestant { name: peer.name.into(), version: peer.version, arguments, verifies: true, stands_still: true });
    }
    for (name, argument, verifies) in [("openssl's SHA-256 (ring)", "openssl", true), ("reading once", "read", false)] {
        let arguments = ["--contestant", argument].map(String::from).to_vec();
        all.push(Contestant { name: name.into(), version: String::new(), arguments, verifies, stands_still: false });
    }
    Ok(all)
}

impl Contestant {
    /// Ours, with an engine.
    pub fn ours(engine: handoff::EngineId) -> Self {
        let arguments = ["--contestant", "ours", "--engine", engine.word()].map(String::from).to_vec();
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Self { name: format!("ours, {}", engine.word()), version, arguments, verifies: true, stands_still: false }
    }

    /// Ours, in the place of its host's, run as its host's is.
    pub fn drop_in(drop_in: &DropIn, repo: &Repository) -> Self {
        let object = drop_in.object(repo).display().to_string();
        let arguments = ["--contestant", drop_in.host, "--peer", &object].map(String::from).to_vec();
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Self { name: drop_in.program.into(), version, arguments, verifies: true, stands_still: true }
    }

    /// The command that lets it verify `image`.
    pub fn command(&self, repo: &Repository, image: &Image, repetitions: u32, flip: bool) -> Command {
        let mut command = Command::new(super::program(repo));
        command.args(&self.arguments).args(&image.arguments).arg("--repetitions").arg(repetitions.to_string());
        command.arg("--ours").arg(repo.purgatory_debug());
        command.args(flip.then_some("--flip"));
        command
    }

    /// Runs it; with `flip`, after a bit of the image was flipped.
    pub fn run(&self, repo: &Repository, image: &Image, repetitions: u32, flip: bool) -> Result<Answer> {
        match self.within(LIMIT, self.command(repo, image, repetitions, flip))? {
            Some(answer) => Ok(answer),
            None => bail!("{} has not ended within {} s", self.name, LIMIT.as_secs()),
        }
    }

    /// Runs a command to its end, or ends it after `limit`.
    fn within(&self, limit: Duration, mut command: Command) -> Result<Option<Answer>> {
        let what = || self.name.clone();
        let started = Instant::now();
        let mut child = Ended(
            command
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .with_context(|| format!("cannot start {}", self.name))?,
        );
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
        child.0.stdout.take().context("stdout is a pipe")?.read_to_string(&mut out).with_context(what)?;
        child.0.stderr.take().context("stderr is a pipe")?.read_to_string(&mut err).with_context(what)?;
        ensure!(status.success(), "{status}: {}", err.trim());
        Ok(Some(serde_json::from_str(&out).with_context(|| format!("{} said {out:?}", self.name))?))
    }
}

/// A process that does not outlive this value.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Shows a contestant the same image twice, the second time with a bit of the initrd flipped: it must take the first and not the second.
pub fn refuses_a_flipped_bit(repo: &Repository, contestant: &Contestant) -> Result<()> {
    let image = Image::small(repo);
    let name = &contestant.name;
    let sound = contestant.run(repo, &image, 1, false)?;
    ensure!(sound.sound, "{name} does not take a sound image: {}", sound.verdict);
    if !contestant.verifies {
        return Ok(());
    }
    let flipped = contestant.within(STANDS_STILL, contestant.command(repo, &image, 1, true))?;
    let refused = match &flipped {
        None => contestant.stands_still,
        Some(answer) => !answer.sound && !contestant.stands_still,
    };
    ensure!(refused, "{name} takes an image with a flipped bit: {flipped:?}");
    let words = flipped.map_or_else(|| format!("stands still, for {} s", STANDS_STILL.as_secs()), |answer| answer.verdict);
    eprintln!("a flipped bit: {name}: {words}");
    Ok(())
}
