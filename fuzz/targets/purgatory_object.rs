//! libFuzzer's entry point for `src/purgatory_object.rs`, which says what it checks.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    fuzz_targets::purgatory_object::check(data);
});
