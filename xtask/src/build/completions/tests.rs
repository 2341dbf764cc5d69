//! What bash, zsh and fish offer when a user types a line and presses Tab. Each real shell runs in
//! a terminal of its own.
//!
//! A shell that is not installed is skipped, and the test says so. Often fish and zsh are not.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::*;

/// Far longer than a busy machine needs. Only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(120);
/// The shell's prompt. No completion contains it.
const PROMPT: &str = "ready%";
/// A line that a user types before Tab, and every word that must be offered.
const LINES: [(&str, &[&str]); 4] = [
    (
        "kdump-loader ",
        &[
            "inspect", "last", "load", "plan", "reload", "service", "snapshot", "status", "unload",
            "watch",
        ],
    ),
    ("kdump-loader status --", &["--json", "--prometheus", "--strict"]),
    ("kdump-loader service ", &["check", "install", "uninstall"]),
    ("kdump-loader service install --", &["--dry-run", "--mask-conflicts", "--root"]),
];

fn completions() -> xshell::TempDir {
    let sh = xshell::Shell::new().unwrap();
    let dir = sh.create_temp_dir().unwrap();
    write(&sh, dir.path()).unwrap();
    dir
}

#[test]
fn completions_of_every_shell_know_commands_and_flags() {
    let dir = completions();
    for (file, flag) in [
        ("bash/kdump-loader", "--mask-conflicts"),
        ("zsh/_kdump-loader", "--mask-conflicts"),
        ("fish/kdump-loader.fish", "-l mask-conflicts"),
    ] {
        let text = fs::read_to_string(dir.path().join(file)).unwrap();
        for word in ["load", "service", "uninstall", flag] {
            assert!(text.contains(word), "{word} is not in {file}");
        }
    }
}

#[test]
fn bash_completes_commands_and_flags_below_them() {
    completes("bash", |dir| {
        let script = dir.join("bash/kdump-loader");
        let mut shell = Command::new("setsid");
        shell.args(["--ctty", "bash", "--noprofile", "--norc", "-i"]);
        let start = format!(
            "bind 'set show-all-if-ambiguous on'; bind 'set page-completions off'; bind 'set completion-query-items 0'; source '{}'; PS1='rea''dy%'\n",
            script.display()
        );
        (shell, start)
    });
}

#[test]
fn zsh_completes_commands_and_flags_below_them() {
    completes("zsh", |dir| {
        let mut shell = Command::new("setsid");
        shell.args(["--ctty", "zsh", "--no-rcs", "-i"]);
        let start = format!(
            "unsetopt prompt_sp list_ambiguous always_last_prompt; LISTMAX=-1; fpath=('{}' $fpath); autoload -Uz compinit; compinit -u -D; \
             PS1='rea''dy%%'\n",
            dir.join("zsh").display()
        );
        (shell, start)
    });
}

#[test]
fn fish_completes_commands_and_flags_below_them() {
    completes("fish", |dir| {
        let mut shell = Command::new("setsid");
        shell.args(["--ctty", "fish", "--no-config", "--interactive"]);
        let start = format!(
            "set -g fish_autosuggestion_enabled 0; set fish_complete_path '{}'; function fish_prompt; echo -n rea''dy%; end\n",
            dir.join("fish").display()
        );
        (shell, start)
    });
}

/// Types each line into a shell of its own, and waits for the words to be offered.
#[track_caller]
fn completes(shell: &str, start: impl Fn(&Path) -> (Command, String)) {
    if !is_installed(shell) {
        eprintln!("skipped: {shell} is not installed");
        return;
    }
    let dir = completions();
    for (line, words) in LINES {
        let (command, first) = start(dir.path());
        let mut terminal = Terminal::open(command, dir.path());
        terminal.send(&first);
        terminal.wait_for(&[PROMPT]);
        terminal.send(line);
        terminal.wait_for(&[line.trim_end()]);
        terminal.send("\t");
        terminal.wait_for(words);
        // Ctrl-U erases the line. What the shell prints next comes after the whole list.
        terminal.send("\u{15}echo fin''ished\r");
        terminal.wait_for(&["finished"]);
    }
}

fn is_installed(shell: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(shell).is_file())
}

/// A shell and its terminal.
struct Terminal {
    ours: File,
    shell: Child,
    said: Vec<u8>,
}

impl Terminal {
    fn open(mut shell: Command, home: &Path) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        // Wide and high enough that no shell pages or cuts the list.
        tcsetwinsize(&ours, Winsize { ws_row: 100, ws_col: 200, ws_xpixel: 0, ws_ypixel: 0 })
            .unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap();
        let name = PathBuf::from(std::ffi::OsStr::from_bytes(name.as_bytes()));
        let theirs = OpenOptions::new().read(true).write(true).open(name).unwrap();
        let end = || Stdio::from(theirs.try_clone().unwrap());
        // Fish completes only commands that it finds.
        let programs = home.join("programs");
        if fs::create_dir(&programs).is_ok() {
            symlink("/bin/true", programs.join("kdump-loader")).unwrap();
        }
        let mut path = std::ffi::OsString::from(programs);
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        fs::create_dir_all(home.join("home")).unwrap();
        shell
            .env_clear()
            .env("TERM", "xterm")
            .env("LC_ALL", "C.UTF-8")
            .env("PATH", path)
            .env("HOME", home.join("home"));
        let shell = shell.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        Self { ours: ours.into(), shell, said: Vec::new() }
    }

    fn send(&mut self, keys: &str) {
        self.ours.write_all(keys.as_bytes()).unwrap();
    }

    /// Everything that the terminal has shown.
    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.said).into_owned()
    }

    /// Reads until the terminal has shown all of these words.
    #[track_caller]
    fn wait_for(&mut self, words: &[&str]) {
        let end = Instant::now() + PATIENCE;
        while !words.iter().all(|word| self.shown().contains(word)) {
            let left = end.saturating_duration_since(Instant::now());
            let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: 0 };
            let ready = poll(&mut [PollFd::new(&self.ours, PollFlags::IN)], Some(&left)).unwrap();
            assert!(ready > 0, "the shell does not show {words:?}, but: {}", self.shown());
            let mut some = [0; 4096];
            let count = self.ours.read(&mut some).unwrap_or(0);
            assert!(count > 0, "the shell has ended; it showed: {}", self.shown());
            self.said.extend_from_slice(&some[..count]);
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Both fail if the shell has already ended.
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}
