//! The portable engine: the `sha2` crate, built with `--cfg sha2_backend="soft"` so that it never looks at the CPU by itself.

#[cfg(not(sha2_backend = "soft"))]
compile_error!("build with --cfg sha2_backend=\"soft\" (.cargo/config.toml sets it): otherwise sha2 executes CPUID unasked");

use sha2::block_api::compress256;

use crate::{Block, State};

/// Runs each run through its state, one after the other.
pub fn compress(states: &mut [State], runs: &[&[Block]]) {
    for (state, run) in states.iter_mut().zip(runs) {
        compress256(state, run);
    }
}
