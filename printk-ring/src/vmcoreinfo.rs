//! `[1]` VMCOREINFO: the text in which a kernel describes itself to dump tools.
//!
//! *On entry* the note's text. *On exit* a [`Layout`]: every field is inside its struct, and every
//! struct is small.

/// The kernel exports no larger struct here; `struct printk_info` has 88 bytes.
const LARGEST_STRUCT: usize = 4096;

/// The text of a VMCOREINFO note: lines `KEY=VALUE`, up to the first NUL.
#[derive(Clone, Copy, Debug)]
pub struct Vmcoreinfo<'a> {
    text: &'a [u8],
}

/// Why a value of VMCOREINFO cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A line is missing.
    #[error("VMCOREINFO has no line {key}; the kernel is older or newer than those that are known")]
    Missing {
        /// The line's key.
        key: String,
    },
    /// A value is no number.
    #[error("VMCOREINFO has {key}={value:?}, which is not a number")]
    Garbled {
        /// The line's key.
        key: String,
        /// Its value.
        value: String,
    },
    /// A field ends after its struct, or a struct is larger than any that the kernel has.
    #[error("VMCOREINFO has {key}={value}, but the struct has {size} bytes")]
    Outside {
        /// The line's key.
        key: String,
        /// Its value.
        value: u64,
        /// The struct's size.
        size: usize,
    },
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
    pub fn symbol(&self, name: &str) -> Result<u64, Error> {
        self.parsed(format!("SYMBOL({name})"), |value| u64::from_str_radix(value, 16).ok())
    }

    /// The value of a line `NUMBER(name)=…`. The kernel prints it as a signed long.
    pub fn number(&self, name: &str) -> Result<i64, Error> {
        self.parsed(format!("NUMBER({name})"), |value| value.parse().ok())
    }

    /// Bytes of a struct, from a line `SIZE(name)=…`.
    pub fn size(&self, name: &str) -> Result<u64, Error> {
        self.parsed(format!("SIZE({name})"), |value| value.parse().ok())
    }

    /// Elements of an array, from a line `LENGTH(name)=…`.
    pub fn length(&self, name: &str) -> Result<u64, Error> {
        self.parsed(format!("LENGTH({name})"), |value| value.parse().ok())
    }

    /// Offset of a field, from a line `OFFSET(struct.field)=…`.
    pub fn offset(&self, name: &str) -> Result<u64, Error> {
        self.parsed(format!("OFFSET({name})"), |value| value.parse().ok())
    }

    fn parsed<T>(&self, key: String, parse: fn(&str) -> Option<T>) -> Result<T, Error> {
        let Some(value) = self.value(&key) else { return Err(Error::Missing { key }) };
        // The kernel writes no plus sign, but Rust's parsers accept one.
        let parsed = Some(value).filter(|value| !value.starts_with('+')).and_then(parse);
        parsed.ok_or_else(|| Error::Garbled { key, value: value.chars().take(40).collect() })
    }
}

/// Sizes and offsets of the structs of kernel/printk/printk_ringbuffer.h, from the lines that
/// `log_buf_vmcoreinfo_setup` (kernel/printk/printk.c) exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Bytes of `struct printk_ringbuffer`.
    pub ringbuffer_len: usize,
    /// `desc_ring.count_bits` in it. So are the following, up to `text_tail_lpos`.
    pub count_bits: usize,
    /// `desc_ring.descs`.
    pub descs: usize,
    /// `desc_ring.infos`.
    pub infos: usize,
    /// `desc_ring.head_id`.
    pub head_id: usize,
    /// `desc_ring.tail_id`.
    pub tail_id: usize,
    /// `text_data_ring.size_bits`.
    pub size_bits: usize,
    /// `text_data_ring.data`.
    pub data: usize,
    /// `text_data_ring.head_lpos`.
    pub head_lpos: usize,
    /// `text_data_ring.tail_lpos`.
    pub tail_lpos: usize,
    /// Bytes of `struct prb_desc`.
    pub desc_len: usize,
    /// `state_var` in it.
    pub state: usize,
    /// `text_blk_lpos.begin` in it.
    pub begin: usize,
    /// `text_blk_lpos.next` in it.
    pub next: usize,
    /// Bytes of `struct printk_info`.
    pub info_len: usize,
    /// `seq` in it.
    pub seq: usize,
    /// `ts_nsec` in it.
    pub time: usize,
    /// `text_len` in it.
    pub text_len: usize,
    /// `caller_id` in it.
    pub caller: usize,
}

impl Layout {
    /// The layout that the kernel with this VMCOREINFO uses.
    pub fn of(vmcoreinfo: &Vmcoreinfo<'_>) -> Result<Self, Error> {
        let structs = Structs { vmcoreinfo };
        let counter = structs.within("atomic_long_t", "counter", 8)?;
        let ringbuffer_len = structs.size("printk_ringbuffer")?;
        let desc_ring_len = structs.size("prb_desc_ring")?;
        let data_ring_len = structs.size("prb_data_ring")?;
        let desc_ring = structs.within("printk_ringbuffer", "desc_ring", desc_ring_len)?;
        let data_ring = structs.within("printk_ringbuffer", "text_data_ring", data_ring_len)?;
        let desc = |field, len| Ok(desc_ring + structs.within("prb_desc_ring", field, len)?);
        let text = |field, len| Ok(data_ring + structs.within("prb_data_ring", field, len)?);
        let atomic_len = structs.size("atomic_long_t")?;
        let position_len = structs.size("prb_data_blk_lpos")?;
        let position = structs.within("prb_desc", "text_blk_lpos", position_len)?;
        let info = |field, len| structs.within("printk_info", field, len);
        Ok(Self {
            ringbuffer_len,
            count_bits: desc("count_bits", 4)?,
            descs: desc("descs", 8)?,
            infos: desc("infos", 8)?,
            head_id: desc("head_id", atomic_len)? + counter,
            tail_id: desc("tail_id", atomic_len)? + counter,
            size_bits: text("size_bits", 4)?,
            data: text("data", 8)?,
            head_lpos: text("head_lpos", atomic_len)? + counter,
            tail_lpos: text("tail_lpos", atomic_len)? + counter,
            desc_len: structs.size("prb_desc")?,
            state: structs.within("prb_desc", "state_var", atomic_len)? + counter,
            begin: position + structs.within("prb_data_blk_lpos", "begin", 8)?,
            next: position + structs.within("prb_data_blk_lpos", "next", 8)?,
            info_len: structs.size("printk_info")?,
            seq: info("seq", 8)?,
            time: info("ts_nsec", 8)?,
            text_len: info("text_len", 2)?,
            caller: info("caller_id", 4)?,
        })
    }

    /// Offset of `facility` in `struct printk_info`; `flags` and `level` share the byte after it.
    /// VMCOREINFO does not export them. They fill the gap between two fields that it does export.
    pub(crate) fn facility(&self) -> Option<usize> {
        (self.caller == self.text_len + 4).then_some(self.text_len + 2)
    }
}

/// The lines about structs.
struct Structs<'a> {
    vmcoreinfo: &'a Vmcoreinfo<'a>,
}

impl Structs<'_> {
    fn size(&self, name: &str) -> Result<usize, Error> {
        let value = self.vmcoreinfo.size(name)?;
        match usize::try_from(value) {
            Ok(size) if (1..=LARGEST_STRUCT).contains(&size) => Ok(size),
            _ => Err(Error::Outside { key: format!("SIZE({name})"), value, size: LARGEST_STRUCT }),
        }
    }

    /// The offset of a field of `len` bytes.
    fn within(&self, name: &str, field: &str, len: usize) -> Result<usize, Error> {
        let size = self.size(name)?;
        let name = format!("{name}.{field}");
        let value = self.vmcoreinfo.offset(&name)?;
        match usize::try_from(value) {
            Ok(at) if at <= size && len <= size - at => Ok(at),
            _ => Err(Error::Outside { key: format!("OFFSET({name})"), value, size }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::writer::{LAYOUT, VMCOREINFO};

    #[test]
    fn lines_of_a_kernel_become_its_layout() {
        let info = Vmcoreinfo::new(VMCOREINFO.as_bytes());
        assert_eq!(Layout::of(&info), Ok(LAYOUT));
        assert_eq!(info.value("OSRELEASE"), Some("6.12.43"));
        assert_eq!(info.symbol("prb"), Ok(0xffff_ffff_8a66_5be0));
        assert_eq!(info.number("phys_base"), Ok(-16_777_216));
    }

    #[test]
    fn text_after_a_nul_is_ignored() {
        let cut = VMCOREINFO.replacen("SIZE(prb_desc)", "\0SIZE(prb_desc)", 1);
        let error = Layout::of(&Vmcoreinfo::new(cut.as_bytes())).unwrap_err();
        assert!(matches!(error, Error::Missing { .. }), "{error}");
    }

    #[test]
    fn each_missing_line_is_named() {
        for line in VMCOREINFO.lines().filter(|line| line.contains("pr") && !line.contains("SYM")) {
            let (key, _) = line.split_once('=').unwrap();
            let without = VMCOREINFO.replacen(&format!("{line}\n"), "", 1);
            let result = Layout::of(&Vmcoreinfo::new(without.as_bytes()));
            if !["fail", "dev_info"].iter().any(|unused| key.contains(unused)) {
                assert_eq!(result, Err(Error::Missing { key: key.into() }));
            }
        }
    }

    #[test]
    fn field_outside_of_its_struct_is_refused() {
        for (line, instead) in [
            ("OFFSET(printk_info.seq)=0", "OFFSET(printk_info.seq)=81"),
            ("OFFSET(prb_desc.text_blk_lpos)=8", "OFFSET(prb_desc.text_blk_lpos)=9"),
            ("SIZE(prb_desc)=24", "SIZE(prb_desc)=0"),
            ("SIZE(prb_desc)=24", "SIZE(prb_desc)=18446744073709551615"),
            ("SIZE(prb_desc)=24", "SIZE(prb_desc)=4097"),
        ] {
            let text = VMCOREINFO.replacen(line, instead, 1);
            assert_ne!(text, VMCOREINFO, "{line}");
            let result = Layout::of(&Vmcoreinfo::new(text.as_bytes()));
            assert!(matches!(result, Err(Error::Outside { .. })), "{instead}: {result:?}");
        }
        let text = VMCOREINFO.replacen("SIZE(prb_desc)=24", "SIZE(prb_desc)=+24", 1);
        assert!(matches!(
            Layout::of(&Vmcoreinfo::new(text.as_bytes())),
            Err(Error::Garbled { .. })
        ));
    }
}
