//! The file systems that the next boot mounts, from fstab(5).

use super::super::files::Files;
use super::mounts::unescaped;

/// An entry.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The device, or what stands for it.
    pub device: String,
    /// The mount point, without a `/` at its end.
    pub point: String,
    /// The type of the file system.
    pub kind: String,
    /// The options, separated by commas.
    pub options: String,
}

impl Entry {
    /// Whether it has this option, without a value.
    pub fn has(&self, option: &str) -> bool {
        self.options.split(',').any(|it| it == option)
    }
}

/// Every entry, in order.
pub fn entries(files: Files<'_>) -> Vec<Entry> {
    let text = files.text("etc/fstab").unwrap_or_default();
    text.lines().filter_map(entry).collect()
}

fn entry(line: &str) -> Option<Entry> {
    let mut fields = line.split_whitespace();
    let device = unescaped(fields.next().filter(|device| !device.starts_with('#'))?);
    let point = unescaped(fields.next()?);
    let point = if point.len() > 1 { point.trim_end_matches('/').to_owned() } else { point };
    let kind = fields.next().unwrap_or("auto").to_owned();
    let options = fields.next().unwrap_or("defaults").to_owned();
    Some(Entry { device, point, kind, options })
}
