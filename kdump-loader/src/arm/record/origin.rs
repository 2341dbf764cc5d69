//! What an armed image was made from: what was asked for, and which files they were.
//!
//! Files are told apart by what the file system says of them, so that to compare takes no reading.
//! Kernel and initrd are asked through the descriptor that they are read from ([`loader::files::read`]), so
//! the identity is that of the bytes that were sealed. The other files are asked before they are
//! read: one that is replaced in between costs one reload.

use std::collections::BTreeMap;
use std::path::Path;

use loader::files::identity::FileIdentity;
use serde::{Deserialize, Serialize};

use crate::options::Options;
use loader::files::Files;

/// The key of the loader itself among the files: a new one may make another image, and has another purgatory inside.
pub const PROGRAM: &str = "program";

/// What an image was made from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// [`Options::words`].
    pub options: BTreeMap<String, String>,
    /// Every file that was read, by the key of the option that names it, and [`PROGRAM`].
    pub files: BTreeMap<String, FileIdentity>,
}

impl Origin {
    /// Of an image that is made from these options and the files as they are now, by `program`. Files that are not there are left out:
    /// whoever reads them will say so.
    pub fn of(options: &Options, program: &Path) -> Self {
        let Options { kernel, initrd, purgatory, .. } = options;
        let named = [("kernel", Some(kernel)), ("initrd", initrd.as_ref()), ("purgatory", purgatory.as_ref())];
        let mut files: BTreeMap<String, FileIdentity> = BTreeMap::new();
        for (key, path) in named {
            files.extend(path.and_then(|path| Some((key.to_owned(), FileIdentity::of(path).ok()?))));
        }
        files.extend(FileIdentity::of(program).ok().map(|identity| (PROGRAM.to_owned(), identity)));
        Self { options: options.words(), files }
    }

    /// With the identities of the files that were read, whatever is at their paths by now.
    pub fn read(&mut self, files: &Files) {
        self.files.insert("kernel".to_owned(), files.kernel.identity.clone());
        self.files.extend(files.initrd.as_ref().map(|initrd| ("initrd".to_owned(), initrd.identity.clone())));
    }
}
