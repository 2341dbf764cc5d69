//! Integration tests; see `bare.rs` and `scenarios.rs` beside this directory. A package needs a
//! library or a program, and this one has neither.
