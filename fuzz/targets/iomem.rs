//! libFuzzer's entry point for `src/iomem.rs`, which says what it checks.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    fuzz_targets::iomem::check(data);
});
