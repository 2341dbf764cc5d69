//! Scenario → machine → outcome.

pub mod assets;
