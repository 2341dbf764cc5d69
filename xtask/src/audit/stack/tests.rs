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

type Functions<'a> = &'a [(&'a str, &'a [u8])];

#[test]
fn the_deepest_chain_counts_to_the_byte() {
    let chain: Functions<'_> = &[("start", CALLER), ("callee", CALLEE), ("trap", CALLEE)];
    // rbx, 0x20, the return address, and two words of the callee; two words.
    let needed = Room { story: 8 + 0x20 + 8 + 16 + NMI, trap: 16 + PUSHED + EXCEPTION + NMI };
    let (depths, faults) = measured(chain, Some(needed));
    assert_eq!(faults, [""; 0]);
    assert_eq!((depths[0].bytes, depths[1].bytes), (needed.story, needed.trap));
    let (_, faults) = measured(chain, Some(Room { story: needed.story - 1, ..needed }));
    assert!(faults.len() == 1 && faults[0].ends_with("start > callee"), "{faults:?}");
    let (_, faults) = measured(chain, Some(Room { trap: needed.trap - 1, ..needed }));
    assert!(faults.len() == 1 && faults[0].starts_with("stack of exceptions"), "{faults:?}");

    let depths = |functions: Functions<'_>| {
        let (depths, faults) = measured(functions, PLENTY);
        assert_eq!(faults, [""; 0]);
        (depths[0].bytes - NMI, depths[1].bytes - PUSHED - EXCEPTION - NMI)
    };
    // push %rax; pop %rax; jmp callee: the caller's frame is gone.
    let jump: Functions<'_> =
        &[("start", b"\x50\x58\xeb\x0c"), ("callee", CALLEE), ("trap", b"\xc3")];
    assert_eq!(depths(jump).0, 16);
    // test %eax, %eax; jz 1f; push %rax; push %rax; push %rax; ud2; 1: push %rax; ud2
    let branches = b"\x85\xc0\x74\x05\x50\x50\x50\x0f\x0b\x50\x0f\x0b";
    assert_eq!(depths(&[("start", branches), ("trap", b"\x0f\x0b")]).0, 24);
    // push %rax; push %rax; lea 0(%rip), %rsp; push %rax; ud2: a stack taken anew is empty.
    let switch = b"\x50\x50\x48\x8d\x25\x00\x00\x00\x00\x50\x0f\x0b";
    assert_eq!(depths(&[("start", b"\x0f\x0b"), ("trap", switch)]).1, 16);
}

#[test]
fn what_makes_a_depth_unknown_is_found_and_named() {
    let end: &[u8] = b"\x0f\x0b";
    let cases: [(Functions<'_>, &str); 6] = [
        // a: call b; ret. b: call a; ret.
        (
            &[("a", b"\xe8\x0b\0\0\0\xc3"), ("b", b"\xe8\xeb\xff\xff\xff\xc3"), ("trap", end)],
            "a > b > and again",
        ),
        // jmp *%rdi. call *%rax; ud2: forbidden everywhere.
        (&[("start", b"\xff\xe7"), ("trap", end)], "(start+0x0) Jmp: its target is unknown"),
        (&[("leave", b"\xff\xd0\x0f\x0b"), ("trap", end)], "Call: its target is unknown"),
        // 1: push %rax; jmp 1b. mov %rax, %rsp; ud2. call trap+1
        (&[("start", b"\x50\xeb\xfd"), ("trap", end)], "the depth of the stack after it"),
        (&[("start", b"\x48\x89\xc4\x0f\x0b"), ("trap", end)], "the depth of the stack after it"),
        (
            &[("start", b"\xe8\x0c\0\0\0"), ("trap", b"\x90\xc3")],
            "goes to 0x11, where no function starts",
        ),
    ];
    for (functions, expected) in cases {
        let (_, faults) = measured(functions, PLENTY);
        assert!(faults.iter().any(|fault| fault.contains(expected)), "{expected}: {faults:?}");
    }
    // mov (%rdi), %rsp; jmp *%rdi: only what leaves may do that.
    for name in LEAVES {
        let leave: Functions<'_> = &[(name, b"\x48\x8b\x27\xff\xe7"), ("trap", end)];
        assert_eq!(measured(leave, PLENTY).1, [""; 0]);
    }
    assert!(measured(&[("start", end), ("trap", end)], None).1[0].contains("__stack_top"));
    assert!(measured(&[("start", end)], PLENTY).1[0].contains("no function trap"));
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
