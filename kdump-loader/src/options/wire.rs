//! `[0]` Values of options in serde's formats: the config's TOML, and the record.
//!
//! Flags are booleans; delays, levels and counts are numbers. Every other value is the text that
//! the command line takes. [`super::words`] has the parsers.

use std::path::{Path, PathBuf};

use serde::Serializer;

/// A path as text. Bytes that are not UTF-8 are replaced: serde would refuse the whole record.
pub fn path<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&path.display())
}

/// The same for an option that may be absent; absent ones are skipped before this.
pub fn optional_path<S: Serializer>(option: &Option<PathBuf>, to: S) -> Result<S::Ok, S::Error> {
    path(option.as_deref().unwrap_or(Path::new("")), to)
}

/// A module for `#[serde(with)]`: how the field is read, and how it is written.
macro_rules! wire {
    ($(#[$about:meta])* $name:ident: $field:ty, $wire:ty, $read:expr, $write:expr) => {
        $(#[$about])*
        pub mod $name {
            use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

            pub fn serialize<S: Serializer>(field: &$field, to: S) -> Result<S::Ok, S::Error> {
                let write: fn(&$field) -> $wire = $write;
                write(field).serialize(to)
            }

            pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<$field, D::Error> {
                let read: fn(&str) -> Result<$field, String> = $read;
                read(&<$wire>::deserialize(from)?.to_string()).map_err(D::Error::custom)
            }
        }
    };
}

// Absent options are never written, so `unwrap_or_default` only satisfies the types.
wire!(console: loader::request::Console, String,
    crate::options::words::console, |&console| crate::options::words::console_word(console));
wire!(confidential: loader::request::Confidential, String,
    crate::options::words::confidential,
    |&choice| crate::options::words::confidential_word(choice).into());
wire!(black_box: crate::options::BlackBoxChoice, String,
    crate::options::words::black_box,
    |&choice| crate::options::words::black_box_word(choice).into());
wire!(signal: loader::request::SignalChoice, String,
    crate::options::words::signal,
    |&choice| crate::options::words::signal_word(choice).into());
wire!(engine: loader::request::EngineChoice, String,
    crate::options::words::engine, |&engine| crate::options::words::engine_word(engine).into());
wire!(capture: Option<crate::capture::Place>, String,
    |text| crate::capture::Place::parse(text).map(Some),
    |place| place.as_ref().map(ToString::to_string).unwrap_or_default());
wire!(dump_level: Option<u8>, i64,
    |text| crate::options::words::saving::dump_level(text).map(Some),
    |level| level.unwrap_or_default().into());
wire!(capture_timeout: Option<u32>, i64,
    |text| crate::options::words::saving::capture_timeout(text).map(Some),
    |seconds| seconds.unwrap_or_default().into());
wire!(keep_dumps: Option<u32>, i64,
    |text| crate::options::words::saving::keep_dumps(text).map(Some),
    |count| count.unwrap_or_default().into());
wire!(keep_bytes: Option<u64>, String,
    |text| crate::options::words::saving::keep_bytes(text).map(Some),
    |bytes| bytes.unwrap_or_default().to_string());
wire!(on_corrupt: Option<handoff::OnCorrupt>, String,
    |text| crate::options::words::on_corrupt(text).map(Some),
    |action| action.map(|action| action.word().into()).unwrap_or_default());
wire!(leaf_size: Option<u32>, String,
    |text| crate::options::words::leaf_size(text).map(Some),
    |size| size.unwrap_or_default().to_string());
wire!(reset_delay: Option<u32>, i64,
    |text| crate::options::words::reset_delay(text).map(Some),
    |delay| (delay.unwrap_or_default() / 1000).into());
