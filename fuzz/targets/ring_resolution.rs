//! libFuzzer's entry point for `src/ring_resolution.rs`, which says what it checks.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    fuzz_targets::ring_resolution::check(data);
});
