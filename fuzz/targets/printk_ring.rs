//! libFuzzer's entry point for `src/printk_ring.rs`, which says what is shown.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    fuzz_targets::printk_ring::check(data);
});
