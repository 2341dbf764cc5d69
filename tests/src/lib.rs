//! Integration tests; see `scenarios.rs` beside this directory. A package needs a library or a program, and this one has neither.
