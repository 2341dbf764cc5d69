//! How other programs are run: quietly, and with enough in the error to understand a failure.
//!
//! * On entry: a command made by `xshell::cmd!`, which involves no shell and splits no strings.
//! * On exit: its output; or an error with the command line and the last lines of its stderr.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow, bail};
use xshell::{Cmd, Shell, cmd};

/// How many lines of a failed program's stderr an error shows.
const STDERR_TAIL: usize = 20;

/// Runs the command without showing its output, and returns its stdout.
pub fn read(command: Cmd<'_>) -> Result<String> {
    let line = command.to_string();
    let output = command
        .quiet()
        .ignore_status()
        .output()
        .with_context(|| format!("could not start `{line}`"))?;
    if !output.status.success() {
        bail!("`{line}` failed ({})\n{}", output.status, tail(&output.stderr));
    }
    String::from_utf8(output.stdout).with_context(|| format!("the output of `{line}` is not UTF-8"))
}

/// Runs the command and shows its output as it arrives.
pub fn show(command: Cmd<'_>) -> Result<()> {
    // xshell's error has the command line and the exit code. The program's own message is above it.
    Ok(command.quiet().run()?)
}

/// Runs the command, copies its stdout to `shown` as it arrives, and returns that stdout even if
/// the command failed.
pub fn show_and_read(command: Cmd<'_>, mut shown: impl Write) -> Result<(String, Result<()>)> {
    let line = command.to_string();
    let starting = || format!("could not start `{line}`");
    let mut child = Command::from(command).stdout(Stdio::piped()).spawn().with_context(starting)?;
    let mut stdout = child.stdout.take().with_context(starting)?;
    let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let len = stdout
            .read(&mut buffer)
            .with_context(|| format!("cannot read the output of `{line}`"))?;
        if len == 0 {
            break;
        }
        all.extend_from_slice(&buffer[..len]);
        shown
            .write_all(&buffer[..len])
            .and_then(|()| shown.flush())
            .context("cannot write to stdout")?;
    }
    let status = child.wait().with_context(|| format!("cannot wait for `{line}`"))?;
    let success =
        if status.success() { Ok(()) } else { Err(anyhow!("`{line}` failed ({status})")) };
    Ok((String::from_utf8_lossy(&all).into_owned(), success))
}

/// Whether a program can be started.
pub fn is_installed(sh: &Shell, program: impl AsRef<Path>) -> bool {
    let program = program.as_ref();
    cmd!(sh, "{program} --version").quiet().ignore_stdout().ignore_stderr().run().is_ok()
}

/// The last lines of a program's stderr, indented.
pub fn tail(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let lines: Vec<&str> = text.lines().collect();
    let shown = &lines[lines.len().saturating_sub(STDERR_TAIL)..];
    if shown.is_empty() {
        "    (its stderr is empty)".into()
    } else {
        format!("    {}", shown.join("\n    "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_command_and_shows_its_stderr() {
        let sh = Shell::new().unwrap();
        let missing = "/nonexistent/for-sure";
        let error = read(cmd!(sh, "ls {missing}")).unwrap_err().to_string();
        assert!(error.contains("ls /nonexistent/for-sure"), "{error}");
        assert!(error.contains("No such file"), "{error}");
    }

    #[test]
    fn output_is_returned_even_after_a_failure() {
        let sh = Shell::new().unwrap();
        let mut shown = Vec::new();
        let (said, success) =
            show_and_read(cmd!(sh, "grep --count ^ /dev/null"), &mut shown).unwrap();
        assert_eq!((said.as_str(), shown.as_slice()), ("0\n", b"0\n".as_slice()));
        assert!(success.unwrap_err().to_string().contains("grep --count"));
    }
}
