//! `[1b]` /proc/meminfo: how much memory the kernel manages.

use crate::machine::Error;
use crate::machine::source::{Found, quoted};

/// `MemTotal`, which is `totalram_pages()` (`meminfo_proc_show`, fs/proc/meminfo.c), in bytes.
pub(in crate::machine) fn parse(file: &Found) -> Result<u64, Error> {
    let text = file.text()?;
    let line = text.lines().find(|line| line.starts_with("MemTotal:"));
    let line = line.ok_or_else(|| {
        file.garbled(if text.is_empty() { "nothing" } else { "no line `MemTotal`" })
    })?;
    let kib = line
        .strip_prefix("MemTotal:")
        .and_then(|rest| rest.strip_suffix(" kB"))
        .map(str::trim_start);
    let kib =
        kib.filter(|digits| !digits.starts_with('+')).and_then(|digits| digits.parse::<u64>().ok());
    kib.and_then(|kib| kib.checked_mul(1024))
        .filter(|&bytes| bytes > 0)
        .ok_or_else(|| file.garbled(quoted(line)))
}
