//! `[6b]` Splits a command line into parameters, and compares their names, as the kernel does.
//!
//! *On entry* the bytes of a command line, which need not be text. *On exit* its words, each with
//! its offset, name and value.

/// The word that ends the kernel's parameters. Everything after it is for init (`parse_args`,
/// kernel/params.c).
const END_OF_PARAMETERS: &[u8] = b"--";
/// Latin-1's no-break space. The kernel's `isspace` includes it (`_ctype`, lib/ctype.c), although
/// it can be a part of a letter in UTF-8.
const NO_BREAK_SPACE: u8 = 0xa0;

/// One word of a command line, with the quotes in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word<'a> {
    /// Its offset in the line.
    pub at: usize,
    /// Its bytes.
    pub text: &'a [u8],
}

impl<'a> Word<'a> {
    /// The bytes before the first `=`, and those after it. An `=` at the very start does not
    /// separate (`next_arg`).
    fn parts(&self) -> (&'a [u8], Option<&'a [u8]>) {
        let quoted = self.text.strip_prefix(b"\"");
        let text = quoted.unwrap_or(self.text);
        let equals = text.iter().skip(1).position(|&byte| byte == b'=').map(|at| at + 1);
        let without_quote = |text: &'a [u8]| text.strip_suffix(b"\"").unwrap_or(text);
        match equals {
            None if quoted.is_some() => (without_quote(text), None),
            None => (text, None),
            Some(equals) => {
                let value = &text[equals + 1..];
                let opened = value.strip_prefix(b"\"");
                let value = opened.unwrap_or(value);
                let closed = opened.is_some() || quoted.is_some();
                (&text[..equals], Some(if closed { without_quote(value) } else { value }))
            }
        }
    }

    /// The parameter's name.
    pub fn name(&self) -> &'a [u8] {
        self.parts().0
    }

    /// The parameter's value, if it has one.
    pub fn value(&self) -> Option<&'a [u8]> {
        self.parts().1
    }

    fn ends_parameters(&self) -> bool {
        self.parts() == (END_OF_PARAMETERS, None)
    }
}

/// Whether two parameter names are the same: a hyphen equals an underscore (`parameq`,
/// kernel/params.c).
pub(super) fn same_name(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len()
        && one.iter().zip(other).all(|(one, other)| underscored(*one) == underscored(*other))
}

fn underscored(byte: u8) -> u8 {
    if byte == b'-' { b'_' } else { byte }
}

/// Whether the kernel splits words at this byte.
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ' | NO_BREAK_SPACE)
}

/// Splits as `next_arg` does (lib/cmdline.c): at white space, except between double quotes.
pub(super) fn words(line: &[u8]) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut start = None;
    let mut quoted = false;
    for (at, &byte) in line.iter().enumerate() {
        if is_space(byte) && !quoted {
            words.extend(start.take().map(|start| Word { at: start, text: &line[start..at] }));
            continue;
        }
        start.get_or_insert(at);
        quoted ^= byte == b'"';
    }
    words.extend(start.map(|start| Word { at: start, text: &line[start..] }));
    words
}

/// The kernel's parameters, and the offset of the `--` before init's part; the line's length if
/// there is none.
pub(super) fn parameters(line: &[u8]) -> (Vec<Word<'_>>, usize) {
    let mut words = words(line);
    match words.iter().position(Word::ends_parameters) {
        Some(end) => {
            let at = words[end].at;
            words.truncate(end);
            (words, at)
        }
        None => (words, line.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(line: &[u8]) -> Vec<(&[u8], Option<&[u8]>)> {
        parameters(line).0.iter().map(|word| (word.name(), word.value())).collect()
    }

    #[test]
    fn words_are_split_and_unquoted_as_the_kernel_does_it() {
        for (line, name, value) in [
            (&b"a"[..], &b"a"[..], None),
            (b"a=b", b"a", Some(&b"b"[..])),
            (b"a=", b"a", Some(b"")),
            (b"a=b=c", b"a", Some(b"b=c")),
            (b"\"a=b c\"", b"a", Some(b"b c")),
            (b"a=\"b c\"", b"a", Some(b"b c")),
            (b"\"a\"", b"a", None),
            (b"a=b\"c d\"", b"a", Some(b"b\"c d\"")),
            (b"=a=b", b"=a", Some(b"b")),
            (b"=a", b"=a", None),
        ] {
            assert_eq!(split(line), [(name, value)], "{}", line.escape_ascii());
        }
        assert_eq!(
            split(b" a\t b\x0bc\xa0d "),
            [&b"a"[..], b"b", b"c", b"d"].map(|name| (name, None))
        );
    }

    #[test]
    fn parameters_end_at_a_word_of_two_hyphens() {
        for (line, count, end) in [
            (&b"a -- b"[..], 1, 2),
            (b"a \"--\" b", 1, 2),
            (b"a --b", 2, 5),
            (b"a --=b", 2, 6),
            (b"-- b", 0, 0),
            (b"", 0, 0),
        ] {
            let (words, at) = parameters(line);
            assert_eq!((words.len(), at), (count, end), "{}", line.escape_ascii());
        }
    }

    #[test]
    fn hyphen_and_underscore_are_the_same_in_names() {
        assert!(same_name(b"log-buf_len", b"log_buf-len"));
        assert!(
            !same_name(b"log_buf_le", b"log_buf_len") && !same_name(b"Log_buf_len", b"log_buf_len")
        );
    }
}
