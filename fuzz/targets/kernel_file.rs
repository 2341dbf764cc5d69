//! libFuzzer's entry point for `src/kernel_file.rs`, which says what it checks.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    fuzz_targets::kernel_file::check(data);
});
