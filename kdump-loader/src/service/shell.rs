//! [2a] Files of settings that a shell sources, read without a shell.
//!
//! *On entry* the text of such a file. *On exit* its assignments, in order. Quotes are taken off as a shell would. A value with an expansion
//! in it, and a line that is not an assignment, are named and never guessed at.

/// One statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Its line, from 1.
    pub line: usize,
    /// What it is.
    pub what: What,
}

/// What a statement is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// `NAME=value`, with the value if it says itself what it is.
    Assignment {
        /// The variable.
        name: String,
        /// `None` for a value that takes a shell to know.
        value: Option<String>,
    },
    /// Anything else.
    Other,
}

/// Characters that do more than stand for themselves, outside of quotes.
const SPECIAL: &str = "$`*?[]~(){}<>|&!";

/// The statements of a file.
pub fn statements(text: &str) -> Vec<Statement> {
    let mut reader = Reader { rest: text.chars().peekable(), line: 1 };
    let mut found = Vec::new();
    loop {
        reader.skip_blank();
        let line = reader.line;
        if reader.rest.peek().is_none() {
            return found;
        }
        let what = reader.statement();
        found.push(Statement { line, what });
    }
}

struct Reader<'t> {
    rest: std::iter::Peekable<std::str::Chars<'t>>,
    line: usize,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let next = self.rest.next();
        self.line += usize::from(next == Some('\n'));
        next
    }

    /// Goes to the next statement: over white space, semicolons and comments.
    fn skip_blank(&mut self) {
        while let Some(&next) = self.rest.peek() {
            match next {
                '#' => self.skip_line(),
                _ if next.is_whitespace() || next == ';' => drop(self.next()),
                _ => return,
            }
        }
    }

    fn skip_line(&mut self) {
        while self.rest.peek().is_some_and(|&next| next != '\n') {
            self.next();
        }
    }

    fn statement(&mut self) -> What {
        let mut name = self.name();
        if name == "export" && self.rest.peek() == Some(&' ') {
            while self.rest.peek() == Some(&' ') {
                self.next();
            }
            name = self.name();
        }
        let is_name = name.starts_with(|first: char| !first.is_ascii_digit());
        if !is_name || self.rest.peek() != Some(&'=') {
            self.skip_line();
            return What::Other;
        }
        self.next();
        let value = self.word();
        // `NAME=value command` sets it for the command alone.
        while self.rest.peek().is_some_and(|&next| next == ' ' || next == '\t') {
            self.next();
        }
        match self.rest.peek() {
            None | Some('\n' | ';' | '#' | '\r') => What::Assignment { name, value },
            Some(_) => {
                self.skip_line();
                What::Other
            }
        }
    }

    fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(&next) = self.rest.peek().filter(|next| next.is_ascii_alphanumeric() || **next == '_') {
            name.push(next);
            self.next();
        }
        name
    }

    /// A word without its quotes; `None` if it has an expansion in it or does not end.
    fn word(&mut self) -> Option<String> {
        let (mut word, mut plain) = (String::new(), true);
        while let Some(&next) = self.rest.peek() {
            match next {
                _ if next.is_whitespace() || next == ';' => break,
                '\'' | '"' => {
                    self.next();
                    plain &= self.quoted(next, &mut word);
                }
                '\\' => {
                    self.next();
                    // A line that goes on.
                    word.extend(self.next().filter(|&escaped| escaped != '\n'));
                }
                _ => {
                    plain &= !SPECIAL.contains(next);
                    word.extend(self.next());
                }
            }
        }
        plain.then_some(word)
    }

    /// Up to the closing quote. Returns whether it is plain.
    fn quoted(&mut self, quote: char, word: &mut String) -> bool {
        let mut plain = true;
        while let Some(next) = self.next() {
            match next {
                _ if next == quote => return plain,
                '\\' if quote == '"' => match self.next() {
                    Some('\n') => {}
                    Some(escaped @ ('"' | '\\' | '$' | '`')) => word.push(escaped),
                    other => {
                        word.push('\\');
                        word.extend(other);
                    }
                },
                _ => {
                    plain &= quote == '\'' || !"$`".contains(next);
                    word.push(next);
                }
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    fn assignments(text: &str) -> Vec<(usize, String, Option<String>)> {
        let assignment = |statement: Statement| match statement.what {
            What::Assignment { name, value } => (statement.line, name, value),
            What::Other => (statement.line, "?".into(), None),
        };
        statements(text).into_iter().map(assignment).collect()
    }

    fn value(text: &str) -> Option<String> {
        let [(1, name, value)] = &assignments(text)[..] else { panic!("{text:?}: {:?}", assignments(text)) };
        assert_eq!(name, "A", "{text:?}");
        value.clone()
    }

    #[test]
    fn quotes_and_escapes_are_taken_off() {
        for (text, expected) in [
            ("A=", ""),
            ("A=plain # comment", "plain"),
            ("A='it is $HOME'", "it is $HOME"),
            ("A=\"a \\\"b\\\" \\$c \\x\"", "a \"b\" $c \\x"),
            ("A=a\"b c\"'d'e", "ab cde"),
            ("A=a\\ b", "a b"),
            ("A=\"one\\\ntwo\"", "onetwo"),
            ("export A=x", "x"),
            ("A=x; ", "x"),
            ("A=x\r\n", "x"),
            ("A=a#b", "a#b"),
        ] {
            assert_eq!(value(text).as_deref(), Some(expected), "{text:?}");
        }
    }

    #[test]
    fn expansions_are_not_guessed() {
        for text in ["A=$B", "A=\"$A more\"", "A=`cmd`", "A=\"$(cmd)\"", "A=~/x", "A=*.img", "A=\"unterminated", "A=(a)"] {
            assert_eq!(value(text), None, "{text:?}");
        }
    }

    #[test]
    fn lines_are_counted_and_what_is_no_assignment_is_named() {
        let text = "# comment\n\nA=\"one\ntwo\"\nif true; then\nB=1\nfi\n. /etc/other\nC=x command\nA+=y\n";
        let names: Vec<_> = assignments(text).into_iter().map(|(line, name, _)| (line, name)).collect();
        let expected = [(3, "A"), (5, "?"), (6, "B"), (7, "?"), (8, "?"), (9, "?"), (10, "?")];
        assert_eq!(names, expected.map(|(line, name)| (line, name.to_owned())));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn value_is_what_a_shell_makes_of_it(word in r#"[ab \\'"$`#;=*~\n-]{0,12}"#) {
            let text = format!("A={word}");
            if let [Statement { line: 1, what: What::Assignment { value: Some(value), .. } }] = &statements(&text)[..] {
                let script = format!("{text}\nprintf '%s.' \"$A\"");
                let output = Command::new("sh").arg("-fc").arg(&script).env_clear().output().unwrap();
                // Two semicolons are no statement at all.
                prop_assume!(output.status.success());
                prop_assert_eq!(String::from_utf8_lossy(&output.stdout).into_owned(), format!("{}.", value), "{:?}", text);
            }
        }
    }
}
