//! libFuzzer's entry point for `src/purgatory_object.rs`, which says what is shown.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    fuzz_targets::purgatory_object::check(data);
});
