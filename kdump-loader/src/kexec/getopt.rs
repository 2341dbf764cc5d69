//! Parses arguments as glibc's `getopt_long` does, by the table of options.
//!
//! Options and files come in any order. Short options may share a word. A value is in the same word
//! or the next. Long options may be abbreviated while they are unambiguous. Everything after `--`
//! is a file.

use std::ffi::{OsStr, OsString};

use lexopt::{Arg, Parser};

use super::options::{OPTIONS, Opt};

/// An option on the command line.
#[derive(Debug)]
pub struct Typed {
    /// Its row in the table.
    pub opt: &'static Opt,
    /// Its value, if it takes one.
    pub value: Option<OsString>,
}

/// A parsed command line.
#[derive(Debug, Default)]
pub struct Line {
    /// The options, in order.
    pub options: Vec<Typed>,
    /// The files, in order.
    pub files: Vec<OsString>,
    /// What stopped the parser. Options before the error still count: `--help` works even if a
    /// later argument is wrong.
    pub error: Option<Error>,
}

/// Why an argument is invalid.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The option does not exist.
    #[error("unknown option {0}; see --help")]
    Unknown(String),
    /// The abbreviation matches several options.
    #[error("{typed} is ambiguous; it could be {}", candidates.join(" or "))]
    Ambiguous {
        /// The argument.
        typed: String,
        /// The options that it matches.
        candidates: Vec<String>,
    },
    /// Its value is missing.
    #[error("{option} needs a value: {option}={value}")]
    NoValue {
        /// The option.
        option: String,
        /// The name of the value.
        value: &'static str,
    },
    /// It has a value, but takes none.
    #[error("{option} takes no value, but has {value:?}")]
    Value {
        /// The option.
        option: String,
        /// The value.
        value: String,
    },
}

/// Parses the arguments after the program's name.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Line {
    let mut parser = Parser::from_args(words);
    let mut line = Line::default();
    line.error = read(&mut parser, &mut line).err();
    line
}

fn read(parser: &mut Parser, line: &mut Line) -> Result<(), Error> {
    while let Some(word) = parser.next().map_err(of_lexopt)? {
        let opt = match word {
            Arg::Value(file) => {
                line.files.push(file);
                continue;
            }
            Arg::Short(letter) => {
                let opt = OPTIONS.iter().find(|opt| opt.short == Some(letter));
                opt.ok_or_else(|| Error::Unknown(format!("-{letter}")))?
            }
            Arg::Long(name) => long(name)?,
        };
        let no_value = |value| Error::NoValue { option: format!("--{}", opt.long), value };
        let value =
            opt.value.map(|value| parser.value().map_err(|_| no_value(value))).transpose()?;
        line.options.push(Typed { opt, value });
    }
    Ok(())
}

/// The option of this name, or the only one whose name begins with it.
fn long(typed: &str) -> Result<&'static Opt, Error> {
    let candidates = OPTIONS.iter().filter(|opt| opt.long.starts_with(typed)).collect::<Vec<_>>();
    if let Some(exact) = candidates.iter().find(|opt| opt.long == typed) {
        return Ok(exact);
    }
    match candidates.as_slice() {
        [] => Err(Error::Unknown(format!("--{typed}"))),
        [only] => Ok(only),
        several => Err(Error::Ambiguous {
            typed: format!("--{typed}"),
            candidates: several.iter().map(|opt| format!("--{}", opt.long)).collect(),
        }),
    }
}

/// The only error that lexopt finds itself is a value for an option without one.
fn of_lexopt(error: lexopt::Error) -> Error {
    match error {
        lexopt::Error::UnexpectedValue { option, value } => {
            Error::Value { option, value: display(&value) }
        }
        other => Error::Unknown(other.to_string()),
    }
}

fn display(text: &OsStr) -> String {
    text.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    /// Options as `name=value`, then files.
    fn read(words: &[&str]) -> Result<(Vec<String>, Vec<String>), Error> {
        let line = parse(words.iter().map(OsString::from));
        let option = |typed: &Typed| match &typed.value {
            Some(value) => format!("{}={}", typed.opt.long, display(value)),
            None => typed.opt.long.to_owned(),
        };
        let read = (
            line.options.iter().map(option).collect(),
            line.files.iter().map(|file| display(file)).collect(),
        );
        line.error.map_or(Ok(read), Err)
    }

    #[track_caller]
    fn assert_reads(words: &[&str], options: &[&str], files: &[&str]) {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        assert_eq!(read(words), Ok((owned(options), owned(files))), "{words:?}");
    }

    #[test]
    fn options_come_before_and_after_the_file() {
        assert_reads(
            &["-p", "vmlinuz", "--initrd=i", "-a"],
            &["load-panic", "initrd=i", "kexec-syscall-auto"],
            &["vmlinuz"],
        );
        assert_reads(&["vmlinuz", "-p"], &["load-panic"], &["vmlinuz"]);
        assert_reads(&[], &[], &[]);
    }

    #[test]
    fn short_options_share_a_word() {
        assert_reads(&["-psd"], &["load-panic", "kexec-file-syscall", "debug"], &[]);
        assert_reads(&["-ptuki", "k"], &["load-panic", "type=uki"], &["k"]);
        assert_reads(&["-pt", "uki"], &["load-panic", "type=uki"], &[]);
    }

    #[test]
    fn values_are_in_the_same_word_or_in_the_next() {
        for words in [&["--append=a b=c"][..], &["--append", "a b=c"], &["--app", "a b=c"]] {
            assert_reads(words, &["append=a b=c"], &[]);
        }
        assert_reads(&["--append=", "k"], &["append="], &["k"]);
        assert_reads(&["--append", "-p", "k"], &["append=-p"], &["k"]);
        assert_reads(&["--append", "--", "k"], &["append=--"], &["k"]);
    }

    #[test]
    fn long_options_may_be_abbreviated_while_unambiguous() {
        assert_reads(
            &["--comm=x", "--init", "i", "--stat"],
            &["command-line=x", "initrd=i", "status"],
            &[],
        );
        assert_reads(&["--load"], &["load"], &[]);
        assert_reads(&["--kexec-syscall"], &["kexec-syscall"], &[]);
        assert_reads(&["--serial", "ttyS0"], &["serial=ttyS0"], &[]);
        let Err(Error::Ambiguous { candidates, .. }) = read(&["--load-p"]) else {
            panic!("-panic or -preserve-context")
        };
        assert_eq!(candidates, ["--load-panic", "--load-preserve-context"]);
        assert!(matches!(read(&["--reuse"]), Err(Error::Ambiguous { .. })));
    }

    #[test]
    fn everything_after_two_dashes_is_a_file() {
        assert_reads(&["-p", "--", "-d", "--initrd"], &["load-panic"], &["-d", "--initrd"]);
        assert_reads(&["-"], &[], &["-"]);
    }

    #[test]
    fn invalid_option_is_named() {
        assert_eq!(read(&["-z"]), Err(Error::Unknown("-z".into())));
        assert_eq!(read(&["-?"]), Err(Error::Unknown("-?".into())));
        assert_eq!(read(&["--skip-checks"]), Err(Error::Unknown("--skip-checks".into())));
        assert_eq!(
            read(&["--append"]),
            Err(Error::NoValue { option: "--append".into(), value: "STRING" })
        );
        assert_eq!(read(&["-t"]), Err(Error::NoValue { option: "--type".into(), value: "TYPE" }));
        let value = read(&["--unload=now", "-p"]).unwrap_err().to_string();
        assert_eq!(value, "--unload takes no value, but has \"now\"");
    }

    #[test]
    fn options_before_an_error_are_kept() {
        let line = parse(["-h", "--bogus", "-p"].map(OsString::from));
        assert_eq!(line.options.len(), 1);
        assert!(line.error.is_some());
    }

    #[test]
    fn paths_that_are_not_utf_8_survive() {
        let path = OsString::from_vec(b"/boot/\xff".to_vec());
        let line = parse([OsString::from("--initrd"), path.clone(), path.clone()]);
        assert_eq!(
            (line.options[0].value.as_ref(), &line.files),
            (Some(&path), &vec![path.clone()])
        );
    }
}
