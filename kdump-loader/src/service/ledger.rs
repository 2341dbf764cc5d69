//! `[5]` The ledger: every change to a machine, so that `uninstall` can undo it.
//!
//! It is written before the changes. If the process is killed midway, the ledger lists too many
//! changes, never too few.

use std::path::PathBuf;

use digest::{Engine, Sha256};
use serde::{Deserialize, Serialize};

use super::Error;
use super::layout::Content;
use super::tree::{Found, Tree};

/// Its file.
pub const PATH: &str = "var/lib/kdump-loader/service.json";
/// Its directory. The black box keeps its files there, too.
pub const DIRECTORY: &str = "var/lib/kdump-loader";
/// Version of its format.
const VERSION: u32 = 1;

/// All changes, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    version: u32,
    /// Every created directory, file and link.
    pub entries: Vec<Entry>,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Path below the root.
    pub path: String,
    /// What was created there.
    pub made: Made,
    /// Whether an older file was there, which is kept next to it.
    #[serde(default)]
    pub kept: bool,
    /// What an earlier installation had created there. It is still there if the process was killed
    /// before it replaced it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earlier: Option<Made>,
}

impl Entry {
    /// Whether this program created what is at the path.
    pub fn made_this(&self, found: &Found) -> bool {
        self.made.is(found) || self.earlier.as_ref().is_some_and(|earlier| earlier.is(found))
    }
}

/// A created directory, file or link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Made {
    /// A directory.
    Directory,
    /// A file.
    File {
        /// SHA-256 of its content, in hexadecimal.
        sha256: String,
        /// Its mode.
        mode: u32,
    },
    /// A symbolic link.
    Link {
        /// Its target.
        target: PathBuf,
    },
}

impl Made {
    /// The result of installing this content.
    pub fn of(content: &Content) -> Self {
        match content {
            Content::File { bytes, mode } => Self::File { sha256: sha256(bytes), mode: *mode },
            Content::Link { target } => Self::Link { target: target.clone() },
        }
    }

    /// A found file or link; `None` for anything else.
    pub fn of_found(found: &Found) -> Option<Self> {
        match found {
            Found::File { bytes, mode } => Some(Self::File { sha256: sha256(bytes), mode: *mode }),
            Found::Link { target } => Some(Self::Link { target: target.clone() }),
            Found::Absent | Found::Other { .. } => None,
        }
    }

    /// Whether this was found unchanged.
    pub fn is(&self, found: &Found) -> bool {
        match (self, found) {
            (Self::File { sha256: made, mode }, Found::File { bytes, mode: found }) => {
                mode == found && *made == sha256(bytes)
            }
            (Self::Link { target }, Found::Link { target: found }) => target == found,
            _ => false,
        }
    }
}

impl Ledger {
    /// The ledger of a machine; `None` if there is none.
    pub fn read(tree: &Tree) -> Result<Option<Self>, Error> {
        let path = tree.path(PATH);
        let bytes = match tree.look(PATH)? {
            Found::Absent => return Ok(None),
            Found::File { bytes, .. } => bytes,
            _ => return Err(Error::InTheWay { path, what: "something else" }),
        };
        let ledger: Self = serde_json::from_slice(&bytes)
            .map_err(|source| Error::Garbled { path: path.clone(), source })?;
        if ledger.version == VERSION {
            return Ok(Some(ledger));
        }
        let version =
            serde::de::Error::custom(format!("version {} and not {VERSION}", ledger.version));
        Err(Error::Garbled { path, source: version })
    }

    /// Writes the ledger. Its directory must exist.
    pub fn write(&self, tree: &Tree) -> Result<(), Error> {
        let ledger = Self { version: VERSION, entries: self.entries.clone() };
        let text =
            serde_json::to_string_pretty(&ledger).expect("strings and integers always serialize");
        tree.write(PATH, (text + "\n").as_bytes(), 0o644)
    }

    /// Removes the unfinished file and empty directory of a process that was killed before it wrote
    /// the ledger, or after it removed the ledger.
    pub fn clear_unfinished(tree: &Tree) -> Result<(), Error> {
        if matches!(tree.look(DIRECTORY)?, Found::Other { .. }) {
            tree.remove_unfinished(PATH)?;
            tree.remove_directory(DIRECTORY)?;
        }
        Ok(())
    }

    /// The entry of a path.
    pub fn entry(&self, path: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.path == path)
    }

    /// Adds an entry, or replaces the one of the same path.
    pub fn enter(&mut self, entry: Entry) {
        match self.entries.iter_mut().find(|known| known.path == entry.path) {
            Some(known) => *known = entry,
            None => self.entries.push(entry),
        }
    }
}

fn sha256(bytes: &[u8]) -> String {
    let mut hash = Sha256::new(Engine::fastest());
    hash.update(bytes);
    hash.finish().iter().map(|byte| format!("{byte:02x}")).collect()
}
