//! Small programs with known depths.

use super::*;
use crate::audit::image::{Section, Symbol};

/// push %rbx; sub $0x20, %rsp; call +0x10 from its own start; add $0x20, %rsp; pop %rbx; ret
const CALLER: &[u8] = b"\x53\x48\x83\xec\x20\xe8\x06\x00\x00\x00\x48\x83\xc4\x20\x5b\xc3";
/// push %rax; push %rax; pop %rax; pop %rax; ret
const CALLEE: &[u8] = b"\x50\x50\x58\x58\xc3";
const PLENTY: Option<Room> = Some(Room { story: 4096, trap: 4096 });

/// Functions, one every 16 bytes; the first is the entry point.
fn measured(functions: &[(&str, &[u8])], room: Option<Room>) -> (Vec<Depth>, Vec<String>) {
    let mut bytes = Vec::new();
    let mut symbols = Vec::new();
    for (name, code) in functions {
        symbols.push(Symbol { name: name.to_string(), address: bytes.len() as u64 });
        bytes.extend_from_slice(code);
        bytes.resize(bytes.len().next_multiple_of(16), 0x90);
    }
    let size = bytes.len() as u64;
    let section = Section {
        name: ".text".into(),
        address: 0,
        size,
        executable: true,
        writable: false,
        bytes: &bytes,
    };
    depths(&Program { entry: 0, sections: vec![section], symbols }, room)
}

#[test]
fn frames_of_a_chain_are_added_up() {
    let (depths, faults) =
        measured(&[("start", CALLER), ("callee", CALLEE), ("trap", CALLEE)], PLENTY);
    assert_eq!(faults, [""; 0]);
    // rbx, 0x20, the return address, and two words of the callee; two words.
    assert_eq!(depths[0].bytes, 8 + 0x20 + 8 + 16 + NMI);
    assert_eq!(depths[1].bytes, 16 + PUSHED + EXCEPTION + NMI);
}

#[test]
fn a_chain_that_does_not_fit_is_found_to_the_byte() {
    let functions: [(&str, &[u8]); 3] = [("start", CALLER), ("callee", CALLEE), ("trap", CALLEE)];
    let needed = 8 + 0x20 + 8 + 16 + NMI;
    let trap = 16 + PUSHED + EXCEPTION + NMI;
    assert_eq!(measured(&functions, Some(Room { story: needed, trap })).1, [""; 0]);
    let (_, faults) = measured(&functions, Some(Room { story: needed - 1, trap }));
    assert!(faults.len() == 1 && faults[0].ends_with("start > callee"), "{faults:?}");
    let (_, faults) = measured(&functions, Some(Room { story: needed, trap: trap - 1 }));
    assert!(faults.len() == 1 && faults[0].starts_with("stack of exceptions"), "{faults:?}");
}

#[test]
fn a_jump_at_the_end_keeps_the_callers_frame_out() {
    // push %rax; pop %rax; jmp callee
    let (depths, faults) =
        measured(&[("start", b"\x50\x58\xeb\x0c"), ("callee", CALLEE), ("trap", b"\xc3")], PLENTY);
    assert_eq!(faults, [""; 0]);
    assert_eq!(depths[0].bytes, 16 + NMI);
}

#[test]
fn the_deeper_of_two_branches_counts() {
    // test %eax, %eax; jz 1f; push %rax; push %rax; push %rax; ud2; 1: push %rax; ud2
    let branches = b"\x85\xc0\x74\x05\x50\x50\x50\x0f\x0b\x50\x0f\x0b";
    let (depths, faults) = measured(&[("start", branches), ("trap", b"\x0f\x0b")], PLENTY);
    assert_eq!(faults, [""; 0]);
    assert_eq!(depths[0].bytes, 24 + NMI);
}

#[test]
fn a_stack_taken_anew_is_empty() {
    // push %rax; push %rax; lea 0(%rip), %rsp; push %rax; ud2
    let switch = b"\x50\x50\x48\x8d\x25\x00\x00\x00\x00\x50\x0f\x0b";
    let (depths, faults) = measured(&[("start", b"\x0f\x0b"), ("trap", switch)], PLENTY);
    assert_eq!(faults, [""; 0]);
    assert_eq!(depths[1].bytes, 16 + PUSHED + EXCEPTION + NMI);
}

#[test]
fn recursion_is_found_and_named() {
    // a: call b; ret. b: call a; ret.
    let functions: [(&str, &[u8]); 3] = [
        ("a", b"\xe8\x0b\x00\x00\x00\xc3"),
        ("b", b"\xe8\xeb\xff\xff\xff\xc3"),
        ("trap", b"\x0f\x0b"),
    ];
    let (_, faults) = measured(&functions, PLENTY);
    assert!(faults.len() == 1 && faults[0].ends_with("a > b > and again"), "{faults:?}");
}

#[test]
fn only_what_leaves_may_jump_through_a_register_and_take_another_stack() {
    // mov (%rdi), %rsp; jmp *%rdi
    let leave: &[u8] = b"\x48\x8b\x27\xff\xe7";
    for name in LEAVES {
        assert_eq!(measured(&[(name, leave), ("trap", b"\x0f\x0b")], PLENTY).1, [""; 0]);
    }
    // jmp *%rdi
    let jump: &[u8] = b"\xff\xe7";
    let (_, faults) = measured(&[("start", jump), ("trap", b"\x0f\x0b")], PLENTY);
    assert!(
        faults.len() == 1 && faults[0].contains("(start+0x0) Jmp: its target is unknown"),
        "{faults:?}"
    );
    // call *%rax; ud2: forbidden everywhere.
    let (_, faults) = measured(&[("leave", b"\xff\xd0\x0f\x0b"), ("trap", b"\x0f\x0b")], PLENTY);
    assert!(faults.len() == 1 && faults[0].contains("Call: its target is unknown"), "{faults:?}");
}

#[test]
fn growth_without_end_and_foreign_stack_pointers_are_found() {
    // 1: push %rax; jmp 1b. mov %rax, %rsp; ud2
    for code in [b"\x50\xeb\xfd".as_slice(), b"\x48\x89\xc4\x0f\x0b"] {
        let (_, faults) = measured(&[("start", code), ("trap", b"\x0f\x0b")], PLENTY);
        assert!(
            faults[0].contains("(start+0x0)")
                && faults[0].contains("the depth of the stack after it"),
            "{faults:?}"
        );
    }
}

#[test]
fn a_call_into_the_middle_of_a_function_is_found() {
    // call trap+1
    let (_, faults) =
        measured(&[("start", b"\xe8\x0c\x00\x00\x00"), ("trap", b"\x90\xc3")], PLENTY);
    assert!(
        faults.iter().any(|fault| fault.contains("goes to 0x11, where no function starts")),
        "{faults:?}"
    );
}

#[test]
fn stacks_that_cannot_be_found_are_a_violation() {
    assert!(measured(&[("start", b"\xc3"), ("trap", b"\xc3")], None).1[0].contains("__stack_top"));
    assert!(measured(&[("start", b"\xc3")], PLENTY).1[0].contains("no function trap"));
}

#[test]
fn a_frame_in_the_guards_page_is_found_to_the_byte() {
    let depth = |bytes| Depth { stack: "main stack", bytes, room: 0x1300 };
    let stack = 0x8cc0..0x9fc0;
    assert_eq!(guards_page_fault(&stack, &depth(0xfc0)), None);
    assert!(guards_page_fault(&stack, &depth(0xfc1)).unwrap().contains("0x8fff"));
    // A guard across the border has both pages.
    assert!(guards_page_fault(&(0x8ff0..0x9fc0), &depth(0xfc0)).is_some());
}
