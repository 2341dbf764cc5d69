//! `[6a]` The parameters for the capture kernel, before the loader adds its own.
//!
//! *On entry*
//! * the running kernel's command line to reuse, parameters from the caller, or those embedded in a
//!   unified kernel image.
//!
//! *On exit* a [`Base`]:
//! * a reused line has lost the parameters that only suit the running kernel (`running_only.rs`),
//!   and has spaces in place of line feeds; its other words are unchanged and in order;
//! * parameters from the caller are unchanged.

use super::parameter::{is_space, parameters};
use super::running_only::{Row, Weight, row_of};
use super::text;

/// The capture kernel's parameters, before the loader adds its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Base {
    /// The line. A kernel's command line can hold any byte except NUL, so it need not be text.
    pub line: Vec<u8>,
    /// The parameters that were dropped from a reused line, in order.
    pub dropped: Vec<Vec<u8>>,
}

impl Base {
    /// Chooses the parameters. If `reuse` is set, they are the `running` kernel's, with those
    /// `given` appended; otherwise those `given`; otherwise those embedded in the capture kernel's
    /// file.
    pub fn chosen(
        running: &[u8],
        reuse: bool,
        given: Option<&str>,
        embedded: Option<&[u8]>,
    ) -> Self {
        match given {
            // The caller cannot remove a line feed from this line, and the kernel splits words
            // there anyway.
            _ if reuse => {
                let blank = |byte: u8| byte != b'\t' && byte.is_ascii_control() && is_space(byte);
                Self::reused(&with_spaces(running, blank), given.unwrap_or_default())
            }
            Some(given) => given.into(),
            // As in systemd's stub (`mangle_stub_cmdline`, src/boot/util.c). A NUL stays, and is
            // rejected later.
            None => {
                let blank = |byte: u8| byte != 0 && byte.is_ascii_control();
                Self::reused(&with_spaces(embedded.unwrap_or_default(), blank), "")
            }
        }
    }

    /// `line` without the parameters that only suit the running kernel, and with `append` before
    /// the words for init.
    pub fn reused(line: &[u8], append: &str) -> Self {
        let (words, end) = parameters(line);
        let (kernels, inits) = line.split_at(end);
        let mut kept = Vec::with_capacity(line.len() + append.len() + 2);
        let mut dropped = Vec::new();
        let mut rest = 0;
        for word in words.iter().filter(|word| row_of(word).is_some()) {
            kept.extend_from_slice(&kernels[rest..word.at]);
            dropped.push(word.text.to_vec());
            let after = word.at + word.text.len();
            rest = after + kernels[after..].iter().take_while(|&&byte| is_space(byte)).count();
        }
        kept.extend_from_slice(&kernels[rest..]);
        Self { line: joined(kept, append, inits), dropped }
    }

    /// Adds parameters before the words for init.
    pub fn append(&mut self, more: &str) {
        let (_, end) = parameters(&self.line);
        let (kernels, inits) = self.line.split_at(end);
        self.line = joined(kernels.to_vec(), more, inits);
    }

    /// The dropped parameters as text.
    pub fn dropped_text(&self) -> Vec<String> {
        self.dropped.iter().map(|word| text(word)).collect()
    }

    /// The parameters in the line that do not suit a capture kernel, grouped by row. They are there
    /// because the caller passed them.
    pub fn unfit(&self) -> Vec<(&'static Row, Vec<String>)> {
        let mut unfit: Vec<(&'static Row, Vec<String>)> = Vec::new();
        for word in parameters(&self.line).0 {
            let Some(row) = row_of(&word).filter(|row| row.weight != Weight::Nothing) else {
                continue;
            };
            match unfit.iter_mut().find(|(known, _)| std::ptr::eq(*known, row)) {
                Some((_, words)) => words.push(text(word.text)),
                None => unfit.push((row, vec![text(word.text)])),
            }
        }
        unfit
    }
}

fn joined(mut kernels: Vec<u8>, more: &str, inits: &[u8]) -> Vec<u8> {
    if !more.trim().is_empty() {
        separate(&mut kernels);
        kernels.extend_from_slice(more.trim().as_bytes());
    }
    if !inits.is_empty() {
        separate(&mut kernels);
        kernels.extend_from_slice(inits);
    }
    kernels
}

/// The line with a space in place of every `blank` byte.
fn with_spaces(line: &[u8], blank: impl Fn(u8) -> bool) -> Vec<u8> {
    line.iter().map(|&byte| if blank(byte) { b' ' } else { byte }).collect()
}

fn separate(line: &mut Vec<u8>) {
    if line.last().is_some_and(|&last| !is_space(last)) {
        line.push(b' ');
    }
}

impl From<&str> for Base {
    fn from(line: &str) -> Self {
        Self { line: line.into(), dropped: Vec::new() }
    }
}

#[cfg(test)]
mod tests;
