//! [0] The options that decide an image, from the command line or the config, before any file is
//! read.
//!
//! *On entry* values that [`crate::options::words`] has parsed. *On exit* the same values, and a
//! text form for comparison.

pub mod embedded; // the embedded purgatory
pub mod words; // parses and formats values
pub mod config; // /etc/kdump-loader.toml

use std::collections::BTreeMap;
use std::path::PathBuf;

use handoff::OnCorrupt;
use loader::request::{Confidential, Console, EngineChoice};

/// The options of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The capture kernel.
    pub kernel: PathBuf,
    /// Its initrd.
    pub initrd: Option<PathBuf>,
    /// Its command line; with `reuse_cmdline`, added to the running kernel's.
    pub append: Option<String>,
    /// Begin with the running kernel's command line.
    pub reuse_cmdline: bool,
    /// Pass no EFI tables to the capture kernel.
    pub noefi: bool,
    /// What the purgatory does if a segment is corrupt.
    pub on_corrupt: Option<OnCorrupt>,
    /// How long it shows a failure before it resets the machine, in milliseconds.
    pub reset_delay_ms: Option<u32>,
    /// Its console.
    pub console: Console,
    /// Whether it must avoid instructions that fault in a confidential guest.
    pub confidential: Confidential,
    /// Do not ask the kernel to update the elfcorehdr.
    pub no_hotplug: bool,
    /// The purgatory's digest engine.
    pub engine: EngineChoice,
    /// Bytes per leaf.
    pub leaf_size: Option<u32>,
    /// The purgatory's file; `None` for the embedded one.
    pub purgatory: Option<PathBuf>,
}

impl Options {
    /// Only a kernel, and defaults for the rest.
    pub fn new(kernel: PathBuf) -> Self {
        Self {
            kernel,
            initrd: None,
            append: None,
            reuse_cmdline: false,
            noefi: false,
            on_corrupt: None,
            reset_delay_ms: None,
            console: Console::Auto,
            confidential: Confidential::Auto,
            no_hotplug: false,
            engine: EngineChoice::Auto,
            leaf_size: None,
            purgatory: None,
        }
    }

    /// Every option that differs from its default, as text by its key in the config. The record
    /// keeps this for comparison.
    pub fn words(&self) -> BTreeMap<String, String> {
        let Self { kernel, initrd, append, reuse_cmdline, noefi, on_corrupt, reset_delay_ms, .. } = self;
        let Self { console, confidential, no_hotplug, engine, leaf_size, purgatory, .. } = self;
        let path = |path: &PathBuf| path.display().to_string();
        let flag = |set: bool| set.then(|| set.to_string());
        let words = [
            ("kernel", Some(path(kernel))),
            ("initrd", initrd.as_ref().map(path)),
            ("append", append.clone()),
            ("reuse_cmdline", flag(*reuse_cmdline)),
            ("noefi", flag(*noefi)),
            ("on_corrupt", on_corrupt.map(|action| action.word().to_owned())),
            ("reset_delay", reset_delay_ms.map(|delay| format!("{delay} ms"))),
            ("console", Some(*console).filter(|console| *console != Console::Auto).map(words::console_word)),
            (
                "confidential",
                Some(*confidential)
                    .filter(|choice| *choice != Confidential::Auto)
                    .map(|choice| words::confidential_word(choice).into()),
            ),
            ("no_hotplug", flag(*no_hotplug)),
            (
                "engine",
                Some(*engine).filter(|engine| *engine != EngineChoice::Auto).map(|engine| words::engine_word(engine).into()),
            ),
            ("leaf_size", leaf_size.map(|size| size.to_string())),
            ("purgatory", purgatory.as_ref().map(path)),
        ];
        words.into_iter().filter_map(|(key, word)| Some((key.to_owned(), word?))).collect()
    }
}
