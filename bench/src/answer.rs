//! What is printed: one line of JSON.

use serde::Serialize;

/// What came of it.
#[derive(Debug, Serialize)]
pub struct Answer {
    /// Wall time of each repetition.
    pub seconds: Vec<f64>,
    /// Bytes that came from files.
    pub file_bytes: u64,
    /// Those and the zeroes behind them.
    pub memory_bytes: u64,
    /// Of these, bytes that went through SHA-256.
    pub hashed_bytes: u64,
    /// Whether memory was found to be as it was loaded, every time.
    pub sound: bool,
    /// In the contestant's own words, where it has any.
    pub verdict: String,
}
