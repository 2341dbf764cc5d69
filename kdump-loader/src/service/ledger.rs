//! [5] The ledger: everything that was changed on a machine, so that it can be put back.
//!
//! It is written before the changes that it tells of: who is killed in between leaves a ledger that promises too much, never too little.

use std::path::PathBuf;

use digest::{Engine, Sha256};
use serde::{Deserialize, Serialize};

use super::Error;
use super::layout::Content;
use super::tree::{Found, Tree};

/// Its file.
pub const PATH: &str = "var/lib/kdump-loader/service.json";
/// The directory that is there for it alone.
pub const DIRECTORY: &str = "var/lib/kdump-loader";
/// Its shape.
const VERSION: u32 = 1;

/// What was changed, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    version: u32,
    /// Every directory, file and link that was made.
    pub entries: Vec<Entry>,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Below the root.
    pub path: String,
    /// What was made.
    pub made: Made,
    /// Whether something was there before, which is kept beside it.
    #[serde(default)]
    pub kept: bool,
    /// What was made before that, by an older program. It is still there if the process was killed before it replaced it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earlier: Option<Made>,
}

impl Entry {
    /// Whether what is found at the path was put there by this program.
    pub fn made_this(&self, found: &Found) -> bool {
        self.made.is(found) || self.earlier.as_ref().is_some_and(|earlier| earlier.is(found))
    }
}

/// What was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Made {
    /// A directory.
    Directory,
    /// A file.
    File {
        /// SHA-256 of what is in it, in hexadecimal digits.
        sha256: String,
        /// Its permissions.
        mode: u32,
    },
    /// A symbolic link.
    Link {
        /// What it says.
        target: PathBuf,
    },
}

impl Made {
    /// What putting this there makes.
    pub fn of(content: &Content) -> Self {
        match content {
            Content::File { bytes, mode } => Self::File { sha256: sha256(bytes), mode: *mode },
            Content::Link { target } => Self::Link { target: target.clone() },
        }
    }

    /// What was found, as if it had been made; nothing for what is never made.
    pub fn of_found(found: &Found) -> Option<Self> {
        match found {
            Found::File { bytes, mode } => Some(Self::File { sha256: sha256(bytes), mode: *mode }),
            Found::Link { target } => Some(Self::Link { target: target.clone() }),
            Found::Absent | Found::Other { .. } => None,
        }
    }

    /// Whether this is what lies there, as it was made.
    pub fn is(&self, found: &Found) -> bool {
        match (self, found) {
            (Self::File { sha256: made, mode }, Found::File { bytes, mode: found }) => mode == found && *made == sha256(bytes),
            (Self::Link { target }, Found::Link { target: found }) => target == found,
            _ => false,
        }
    }
}

impl Ledger {
    /// The ledger of a machine; `None` when nothing was ever changed.
    pub fn read(tree: &Tree) -> Result<Option<Self>, Error> {
        let path = tree.path(PATH);
        let bytes = match tree.look(PATH)? {
            Found::Absent => return Ok(None),
            Found::File { bytes, .. } => bytes,
            _ => return Err(Error::InTheWay { path, what: "something else" }),
        };
        let ledger: Self = serde_json::from_slice(&bytes).map_err(|source| Error::Garbled { path: path.clone(), source })?;
        if ledger.version == VERSION {
            return Ok(Some(ledger));
        }
        let version = serde::de::Error::custom(format!("version {} and not {VERSION}", ledger.version));
        Err(Error::Garbled { path, source: version })
    }

    /// Writes it down; its directory is there.
    pub fn write(&self, tree: &Tree) -> Result<(), Error> {
        let ledger = Self { version: VERSION, entries: self.entries.clone() };
        let text = serde_json::to_string_pretty(&ledger).expect("strings and integers always serialize");
        tree.write(PATH, (text + "\n").as_bytes(), 0o644)
    }

    /// Clears what a process left that was killed before the ledger was there, or after it was gone: an unfinished file and an empty directory.
    pub fn clear_unfinished(tree: &Tree) -> Result<(), Error> {
        if matches!(tree.look(DIRECTORY)?, Found::Other { .. }) {
            tree.remove_unfinished(PATH)?;
            tree.remove_directory(DIRECTORY)?;
        }
        Ok(())
    }

    /// What it says of a path.
    pub fn entry(&self, path: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.path == path)
    }

    /// Writes an entry, in the place of an older one of the same path.
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
