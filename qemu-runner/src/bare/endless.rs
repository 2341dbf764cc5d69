//! Whether a CPU can ever leave the code that it is in.
//!
//! A CPU inside the purgatory may still be verifying. It hangs forever if every path from its next
//! instruction is a loop: no call, no return, no indirect jump, and no instruction that was not
//! looked at.

use std::collections::BTreeSet;
use std::ops::Range;

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, OpKind};

use super::memory::Memory;
use super::trace::LONGEST;

/// More instructions than a loop that waits forever has.
const MOST: usize = 32;

/// Whether no way leads out of the loop that `instruction_pointer` is in.
pub fn never_left(memory: &Memory, instruction_pointer: u64) -> bool {
    let Range { start, end } = memory.purgatory();
    loops(instruction_pointer, |address| {
        let len = LONGEST.min(end.checked_sub(address).filter(|_| address >= start)?);
        Some(memory.read(address, len as usize))
    })
}

/// The same with `code`, which gives the bytes at an address, or none where there is no code.
fn loops<'a>(from: u64, code: impl Fn(u64) -> Option<&'a [u8]>) -> bool {
    let mut seen = BTreeSet::new();
    let mut ways = vec![from];
    while let Some(address) = ways.pop() {
        if !seen.insert(address) {
            continue;
        }
        let Some(bytes) = code(address) else { return false };
        let instruction = Decoder::with_ip(64, bytes, address, DecoderOptions::NONE).decode();
        if seen.len() > MOST || instruction.is_invalid() {
            return false;
        }
        match next(&instruction) {
            Some(next) => ways.extend(next),
            None => return false,
        }
    }
    true
}

/// Where an instruction leads; none where that cannot be told from the instruction alone.
fn next(instruction: &Instruction) -> Option<Vec<u64>> {
    let near = instruction.op0_kind() == OpKind::NearBranch64;
    match instruction.flow_control() {
        FlowControl::Next => Some(vec![instruction.next_ip()]),
        FlowControl::UnconditionalBranch if near => Some(vec![instruction.near_branch64()]),
        FlowControl::ConditionalBranch if near => {
            Some(vec![instruction.near_branch64(), instruction.next_ip()])
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(code: &[u8], from: u64) -> bool {
        loops(from, |address| code.get(address as usize..).filter(|rest| !rest.is_empty()))
    }

    #[test]
    fn loop_with_two_arms_is_never_left() {
        // test $1, %dil; jne 10; pause; jmp 0; hlt; jmp 0
        let halt = b"\x40\xf6\xc7\x01\x75\x04\xf3\x90\xeb\xf6\xf4\xeb\xf3";
        for from in [0, 4, 6, 8, 10, 11] {
            assert!(at(halt, from), "from {from}");
        }
    }

    #[test]
    fn whatever_may_lead_elsewhere_is_no_endless_loop() {
        let cases: [(&str, &[u8]); 7] = [
            ("a return", b"\x90\xc3"),
            ("a call", b"\xe8\xfb\xff\xff\xff\xeb\xf9"),
            ("an indirect jump", b"\xff\xe0"),
            ("an exception", b"\x0f\x0b"),
            ("an interrupt", b"\xcc\xeb\xfd"),
            ("the end of the code", b"\x90\x90"),
            ("one arm of two", b"\x75\xfe\xc3"),
        ];
        for (what, code) in cases {
            assert!(!at(code, 0), "{what}");
        }
    }
}
