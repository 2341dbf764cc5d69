//! libFuzzer's entry point for `src/dump_file.rs`, which says what it checks.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    fuzz_targets::dump_file::check(data);
});
