//! libFuzzer's entry point for `src/handoff_block.rs`, which says what it checks.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    fuzz_targets::handoff_block::check(data);
});
