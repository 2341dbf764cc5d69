//! libFuzzer's entry point for `src/cpus.rs`, which says what it checks.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    fuzz_targets::cpus::check(data);
});
