//! libFuzzer's entry point for `src/kcore.rs`, which says what it checks.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    fuzz_targets::kcore::check(data);
});
