//! Debian's archive, read by apt in private directories. Nothing is installed.

pub mod sources; // [1] the archive that this machine is configured for
pub mod suites; // [2] which suites serve which purpose
pub mod root; // [3] a private apt root: questions about packages
pub mod fetch; // [4] download, verify, unpack
