//! (4) The contestants' code, called where it lies in memory.

use std::arch::global_asm;
use std::arch::x86_64::{__m256i, _mm256_load_si256, _mm256_or_si256, _mm256_setzero_si256, _mm256_testz_si256};

// A purgatory's story does not return: its last step jumps into the capture kernel. Ours has a jump to `bench_story_left` in the place of that
// step, which finds its stack here.
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

/// Instructions that jump to where a story that was told by [`tell_story`] has to go in the end.
pub fn jump_out() -> [u8; 12] {
    let mut code = *b"\x48\xb8........\xff\xe0"; // movabsq $address, %rax; jmp *%rax
    code[2..10].copy_from_slice(&((&raw const bench_story_left).addr() as u64).to_le_bytes());
    code
}

/// Calls the purgatory's `story::tell` at this address.
///
/// The image that it verifies lies in memory at the addresses in its block, the block permits nothing that a process may not do, and
/// [`jump_out`] stands where it would leave.
pub fn tell_story(tell: u64) {
    // SAFETY: the caller vouches for the above; a story that goes wrong all the same ends this process, which is for nothing else.
    unsafe { bench_tell_story(tell) }
}

/// Calls a C function without arguments at this address, in memory that a `Memory` holds.
pub fn call(function: u64) {
    // SAFETY: the contestant's symbol says that a function of this type is there.
    let function: extern "C" fn() = unsafe { std::mem::transmute(function as usize) };
    function();
}

/// Reads all bytes once, with the widest loads that are to be had everywhere, and says whether any is not zero.
pub fn read(bytes: &[u8]) -> bool {
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the CPU has just said that it can.
        return unsafe { read_avx2(bytes) };
    }
    bytes.chunks(4096).fold(false, |seen, page| seen | page.iter().fold(0, |seen, &byte| seen | byte).ne(&0))
}

#[target_feature(enable = "avx2")]
fn read_avx2(bytes: &[u8]) -> bool {
    // SAFETY: any bytes make a vector.
    let (before, vectors, after) = unsafe { bytes.align_to::<__m256i>() };
    let mut seen = [_mm256_setzero_si256(); 8];
    let (groups, rest) = vectors.as_chunks::<8>();
    for group in groups {
        for (seen, vector) in seen.iter_mut().zip(group) {
            // SAFETY: a reference to an aligned vector.
            *seen = _mm256_or_si256(*seen, unsafe { _mm256_load_si256(vector) });
        }
    }
    let vectors = seen.iter().chain(rest).fold(_mm256_setzero_si256(), |seen, &vector| _mm256_or_si256(seen, vector));
    _mm256_testz_si256(vectors, vectors) == 0 || before.iter().chain(after).any(|&byte| byte != 0)
}

/// Stops this process until somebody lets it go on, if that is asked for: a mark for whoever counts instructions.
pub fn stop_if(asked: bool) {
    if asked {
        // SAFETY: a signal to this process itself.
        unsafe { libc::raise(libc::SIGSTOP) };
    }
}

/// Has this process end with the one that started it: a contestant that stands still for ever must not outlive who watches it.
pub fn end_with_parent() {
    // SAFETY: an attribute of this process; no memory is involved.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
}
