//! Running other programs: quietly, with all that is needed to understand a failure.
//!
//! On entry: a command, as `xshell::cmd!` made it (no shell, no string splitting).
//! On exit: its output, or an error with the command line and the end of what it wrote to stderr.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use xshell::Cmd;

/// How many lines of a failed program's stderr are shown.
const STDERR_TAIL: usize = 20;

/// Runs the command without showing its output, and returns its stdout.
pub fn read(command: Cmd<'_>) -> Result<String> {
    let line = command.to_string();
    let output = command.quiet().ignore_status().output().with_context(|| format!("could not start `{line}`"))?;
    if !output.status.success() {
        bail!("`{line}` failed ({})\n{}", output.status, tail(&output.stderr));
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{line}` printed something that is not UTF-8"))
}

/// Runs the command with its output shown as it comes.
pub fn show(command: Cmd<'_>) -> Result<()> {
    // xshell's error names the command line and the exit code; what the program said stands above it.
    Ok(command.quiet().run()?)
}

/// Runs the command, passes its stdout on as it comes, byte for byte, and returns it too, whether the command failed or not.
pub fn show_and_read(command: Cmd<'_>, mut shown: impl Write) -> Result<(String, Result<()>)> {
    let line = command.to_string();
    let starting = || format!("could not start `{line}`");
    let mut child = Command::from(command).stdout(Stdio::piped()).spawn().with_context(starting)?;
    let mut stdout = child.stdout.take().with_context(starting)?;
    let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let some = stdout.read(&mut buffer).with_context(|| format!("cannot read what `{line}` prints"))?;
        if some == 0 {
            break;
        }
        all.extend_from_slice(&buffer[..some]);
        shown.write_all(&buffer[..some]).and_then(|()| shown.flush()).context("cannot write to stdout")?;
    }
    let status = child.wait().with_context(|| format!("cannot wait for `{line}`"))?;
    let success = if status.success() { Ok(()) } else { Err(anyhow::anyhow!("`{line}` failed ({status})")) };
    Ok((String::from_utf8_lossy(&all).into_owned(), success))
}

/// The last lines of what a program wrote to stderr, indented.
pub fn tail(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let lines: Vec<&str> = text.lines().collect();
    let shown = &lines[lines.len().saturating_sub(STDERR_TAIL)..];
    if shown.is_empty() { "    (it wrote nothing to stderr)".into() } else { format!("    {}", shown.join("\n    ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xshell::{Shell, cmd};

    #[test]
    fn failure_names_the_command_and_shows_the_end_of_its_stderr() {
        let sh = Shell::new().unwrap();
        let missing = "/nonexistent/for-sure";
        let error = read(cmd!(sh, "ls {missing}")).unwrap_err().to_string();
        assert!(error.contains("ls /nonexistent/for-sure"), "{error}");
        assert!(error.contains("No such file"), "{error}");
    }

    #[test]
    fn what_is_shown_is_returned_even_after_a_failure() {
        let sh = Shell::new().unwrap();
        let mut shown = Vec::new();
        let (said, success) = show_and_read(cmd!(sh, "grep --count ^ /dev/null"), &mut shown).unwrap();
        assert_eq!((said.as_str(), shown.as_slice()), ("0\n", b"0\n".as_slice()));
        assert!(success.unwrap_err().to_string().contains("grep --count"));
    }

    #[test]
    fn only_the_last_lines_of_stderr_are_shown() {
        let many: String = (0..100).map(|n| format!("line {n}\n")).collect();
        let shown = tail(many.as_bytes());
        assert!(shown.contains("line 99") && shown.contains("line 80") && !shown.contains("line 79"));
    }
}
