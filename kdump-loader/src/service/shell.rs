//! `[2a]` Parses settings files that shells source, without a shell.
//!
//! *On entry* the text of such a file. *On exit* its assignments, in order, without quotes. Values
//! with an expansion, and lines that are not assignments, are reported as such and never guessed.

/// One statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Its line, from 1.
    pub line: usize,
    /// What it is.
    pub what: What,
}

/// The kind of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// `NAME=value`.
    Assignment {
        /// The variable.
        name: String,
        /// The value; `None` if it needs a shell to evaluate.
        value: Option<String>,
    },
    /// Anything else.
    Other,
}

/// Characters with a special meaning outside quotes.
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

    /// Skips white space, semicolons and comments.
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
        // `NAME=value command` sets the variable for the command only.
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
        while let Some(&next) =
            self.rest.peek().filter(|next| next.is_ascii_alphanumeric() || **next == '_')
        {
            name.push(next);
            self.next();
        }
        name
    }

    /// A word without its quotes; `None` if it has an expansion or an unclosed quote.
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
                    // A backslash before a newline continues the line.
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

    /// Reads up to the closing quote. Returns whether there is no expansion.
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
        let [(1, name, value)] = &assignments(text)[..] else {
            panic!("{text:?}: {:?}", assignments(text))
        };
        assert_eq!(name, "A", "{text:?}");
        value.clone()
    }

    #[test]
    fn quotes_and_escapes_are_removed() {
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
        for text in [
            "A=$B",
            "A=\"$A more\"",
            "A=`cmd`",
            "A=\"$(cmd)\"",
            "A=~/x",
            "A=*.img",
            "A=\"unterminated",
            "A=(a)",
        ] {
            assert_eq!(value(text), None, "{text:?}");
        }
    }

    #[test]
    fn lines_are_counted_and_other_statements_reported() {
        let text = "# comment\n\nA=\"one\ntwo\"\nif true; then\nB=1\nfi\n. /etc/other\n\
                    C=x command\nA+=y\n";
        let names: Vec<_> =
            assignments(text).into_iter().map(|(line, name, _)| (line, name)).collect();
        let expected = [(3, "A"), (5, "?"), (6, "B"), (7, "?"), (8, "?"), (9, "?"), (10, "?")];
        assert_eq!(names, expected.map(|(line, name)| (line, name.to_owned())));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn value_equals_the_value_in_a_shell(word in r#"[ab \\'"$`#;=*~\n-]{0,12}"#) {
            let text = format!("A={word}");
            if let [Statement { line: 1, what: What::Assignment { value: Some(value), .. } }] =
                &statements(&text)[..]
            {
                let script = format!("{text}\nprintf '%s.' \"$A\"");
                let output =
                    Command::new("sh").arg("-fc").arg(&script).env_clear().output().unwrap();
                // `;;` is a syntax error in a shell.
                prop_assume!(output.status.success());
                prop_assert_eq!(
                    String::from_utf8_lossy(&output.stdout).into_owned(),
                    format!("{}.", value),
                    "{:?}",
                    text
                );
            }
        }
    }
}
