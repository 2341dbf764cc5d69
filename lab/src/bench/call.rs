//! (4) The contestants' code, called at its place in memory.

use std::arch::global_asm;
use std::hint::black_box;

// The purgatory's story does not return: its last step jumps into the capture kernel. In the
// measured copy that step jumps to `bench_story_left`, which restores the stack saved here.
global_asm!(
    "bench_tell_story:", // (tell: rdi)
    "pushq %rbx",
    "pushq %rbp",
    "pushq %r12",
    "pushq %r13",
    "pushq %r14",
    "pushq %r15",
    "subq $8, %rsp",
    "movq %rsp, bench_stack(%rip)",
    "call *%rdi",
    "ud2",
    "bench_story_left:",
    "movq bench_stack(%rip), %rsp",
    "addq $8, %rsp",
    "popq %r15",
    "popq %r14",
    "popq %r13",
    "popq %r12",
    "popq %rbp",
    "popq %rbx",
    "ret",
    ".local bench_stack",
    ".comm bench_stack, 8, 8",
    options(att_syntax)
);

unsafe extern "sysv64" {
    fn bench_tell_story(tell: u64);
    safe static bench_story_left: u8;
}

/// Instructions that end a story which [`tell_story`] began.
pub fn jump_out() -> [u8; 12] {
    let mut code = *b"\x48\xb8........\xff\xe0"; // movabsq $address, %rax; jmp *%rax
    code[2..10].copy_from_slice(&((&raw const bench_story_left).addr() as u64).to_le_bytes());
    code
}

/// Calls the purgatory's `story::tell` at this address.
///
/// Its image is in memory at the addresses in its block. The block permits nothing that a process
/// may not do. [`jump_out`] replaces the jump to the capture kernel.
pub fn tell_story(tell: u64) {
    // SAFETY: `Story::new` found the function in the image that the loader built and `Memory`
    // holds, with the properties above. A purgatory that breaks them ends only this process.
    unsafe { bench_tell_story(tell) }
}

/// Calls a C function without arguments at this address, in code that a `Memory` holds.
pub fn call(function: u64) {
    // SAFETY: the caller takes the address from the contestant's symbol `purgatory`, whose type
    // in both peers is `void purgatory(void)` or returns a value that the call ignores.
    let function: extern "C" fn() = unsafe { std::mem::transmute(function as usize) };
    function();
}

/// Reads all bytes once, as vectors of 64 bytes.
pub fn read(bytes: &[u8]) {
    let (lines, rest) = bytes.as_chunks::<64>();
    let mut seen = [0_u64; 8];
    for line in lines {
        for (seen, word) in seen.iter_mut().zip(line.as_chunks::<8>().0) {
            *seen |= u64::from_ne_bytes(*word);
        }
    }
    black_box((seen, rest.iter().fold(0, |seen, byte| seen | byte)));
}
