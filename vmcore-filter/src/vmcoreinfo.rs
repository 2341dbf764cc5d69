//! `[2]` VMCOREINFO: the text in which a kernel describes itself to dump tools.
//!
//! *On entry* the note's text. *On exit* single values, or the reason why one cannot be used.

use crate::Unfiltered;

/// The text of a VMCOREINFO note: lines `KEY=VALUE`, up to the first NUL.
#[derive(Clone, Copy, Debug)]
pub struct Vmcoreinfo<'a> {
    text: &'a [u8],
}

impl<'a> Vmcoreinfo<'a> {
    /// The text of a note.
    pub fn new(note: &'a [u8]) -> Self {
        let end = note.iter().position(|&byte| byte == 0).unwrap_or(note.len());
        Self { text: &note[..end] }
    }

    /// The value of a line, if the line exists and is text.
    pub fn value(&self, key: &str) -> Option<&'a str> {
        self.text.split(|&byte| byte == b'\n').find_map(|line| {
            let value = line.strip_prefix(key.as_bytes())?.strip_prefix(b"=")?;
            str::from_utf8(value).ok()
        })
    }

    /// The address in a line `SYMBOL(name)=…`.
    pub fn symbol(&self, name: &str) -> Result<u64, Unfiltered> {
        self.parsed(format!("SYMBOL({name})"), |value| u64::from_str_radix(value, 16).ok())
    }

    /// The value of a line `NUMBER(name)=…`. The kernel prints it as a signed long.
    pub fn number(&self, name: &str) -> Result<i64, Unfiltered> {
        self.parsed(format!("NUMBER({name})"), |value| value.parse().ok())
    }

    /// Bytes of a struct, from a line `SIZE(name)=…`.
    pub fn size(&self, name: &str) -> Result<u64, Unfiltered> {
        self.parsed(format!("SIZE({name})"), |value| value.parse().ok())
    }

    /// Elements of an array, from a line `LENGTH(name)=…`.
    pub fn length(&self, name: &str) -> Result<u64, Unfiltered> {
        self.parsed(format!("LENGTH({name})"), |value| value.parse().ok())
    }

    /// Offset of a field, from a line `OFFSET(struct.field)=…`.
    pub fn offset(&self, name: &str) -> Result<u64, Unfiltered> {
        self.parsed(format!("OFFSET({name})"), |value| value.parse().ok())
    }

    fn parsed<T>(&self, key: String, parse: fn(&str) -> Option<T>) -> Result<T, Unfiltered> {
        let Some(value) = self.value(&key) else { return Err(Unfiltered::Missing { key }) };
        // The kernel writes no plus sign, but Rust's parsers accept one.
        let parsed = Some(value).filter(|value| !value.starts_with('+')).and_then(parse);
        parsed.ok_or_else(|| Unfiltered::Garbled { key, value: value.chars().take(40).collect() })
    }
}
