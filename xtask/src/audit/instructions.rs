//! Which instructions the CPU will execute, and in which functions.
//!
//! * On entry: the program, with names for its functions.
//! * On exit: a sentence for every instruction in a forbidden place.

use iced_x86::{
    Code, CpuidFeature, Decoder, DecoderOptions, Instruction, InstructionInfoFactory, Mnemonic,
    OpKind, Register,
};

use super::image::{Code as Program, Section, Symbol};

/// Code that runs before SSE is on, or that interrupts code with SSE: entry.S, leave.S and trap.S.
/// The linker script collects them.
const INTEGER_SECTION: &str = ".text.integer";

/// Instructions that a confidential guest cannot execute without its #VC or #VE handler, and the
/// functions that may contain them. The functions are few, so a reader can check that each, or its
/// caller, first reads the block's permissions or a drop-in's settings.
///
/// Names are demangled paths. Inlining would move the code into callers,
/// so the functions have `#[inline(never)]`.
const GUARDED: [Guarded; 6] = [
    Guarded {
        what: "CPUID",
        is: |instruction| instruction.mnemonic() == Mnemonic::Cpuid,
        functions: &["<digest::engine::sha_ni::ShaNi>::detect"],
    },
    Guarded {
        what: "port I/O",
        is: |instruction| PORT_IO.contains(&instruction.mnemonic()),
        functions: &[
            "purgatory::arch::x86_64::serial::inb",
            "purgatory::arch::x86_64::serial::outb",
        ],
    },
    Guarded {
        what: "HLT",
        is: |instruction| instruction.mnemonic() == Mnemonic::Hlt,
        functions: &["purgatory::arch::x86_64::reset::halt"],
    },
    Guarded {
        what: "a debug register",
        is: |instruction| instruction.op0_register().is_dr() || instruction.op1_register().is_dr(),
        functions: &["purgatory::arch::x86_64::guard::set", "purgatory::arch::x86_64::guard::lift"],
    },
    Guarded {
        what: "MSR access",
        is: |instruction| matches!(instruction.mnemonic(), Mnemonic::Rdmsr | Mnemonic::Wrmsr),
        functions: &[
            "purgatory::arch::x86_64::banks::rdmsr",
            "purgatory::arch::x86_64::banks::end_machine_check",
        ],
    },
    // It needs no permission, because it faults only if a hypervisor wants that. The fault must end
    // as a verdict, so entry.S must not execute it.
    Guarded {
        what: "RDTSC",
        is: |instruction| matches!(instruction.mnemonic(), Mnemonic::Rdtsc | Mnemonic::Rdtscp),
        functions: &["purgatory::arch::x86_64::cpu::tsc"],
    },
];

const PORT_IO: &[Mnemonic] = &[
    Mnemonic::In,
    Mnemonic::Out,
    Mnemonic::Insb,
    Mnemonic::Insw,
    Mnemonic::Insd,
    Mnemonic::Outsb,
    Mnemonic::Outsw,
    Mnemonic::Outsd,
];

struct Guarded {
    what: &'static str,
    is: fn(&Instruction) -> bool,
    functions: &'static [&'static str],
}

/// Every violation.
pub fn faults(program: &Program<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    match program.sections.iter().find(|s| s.name == INTEGER_SECTION) {
        None => faults.push(format!(
            "there is no section {INTEGER_SECTION}: code that runs before SSE is on cannot be found"
        )),
        Some(section) => {
            faults.extend(integer_faults(program, section));
            faults.extend(entry_faults(program, section));
        }
    }
    for section in program.sections.iter().filter(|s| s.executable) {
        for instruction in decode(section) {
            if instruction.code() == Code::INVALID {
                faults.push(format!("{} is an invalid instruction", place(program, &instruction)));
            }
            let guarded = GUARDED.iter().find(|guarded| (guarded.is)(&instruction));
            let name = function(program, instruction.ip());
            if let Some(guarded) =
                guarded.filter(|guarded| !guarded.functions.contains(&name.as_str()))
            {
                faults.push(format!(
                    "{}: {} outside the functions that may execute it",
                    place(program, &instruction),
                    guarded.what
                ));
            }
        }
    }
    faults
}

/// Instructions of the integer section that use a register of interrupted code.
fn integer_faults(program: &Program<'_>, section: &Section<'_>) -> Vec<String> {
    let mut factory = InstructionInfoFactory::new();
    let mut faults = Vec::new();
    for instruction in decode(section) {
        let info = factory.info(&instruction);
        if let Some(used) = info.used_registers().iter().find(|used| !is_integer(used.register())) {
            let register = used.register();
            faults.push(format!(
                "{}: uses {register:?}, but {INTEGER_SECTION} is for integer instructions",
                place(program, &instruction)
            ));
        }
    }
    faults
}

/// Instructions between the entry point and the write to CR4 that need SSE, or that leave the
/// integer section.
fn entry_faults(program: &Program<'_>, section: &Section<'_>) -> Vec<String> {
    let within = section.address..section.address + section.size;
    if !within.contains(&program.entry) {
        return vec![format!("the entry point {:#x} is not in {INTEGER_SECTION}", program.entry)];
    }
    let mut faults = Vec::new();
    for instruction in decode(section).filter(|i| i.ip() >= program.entry) {
        if instruction.mnemonic() == Mnemonic::Mov && instruction.op0_register() == Register::CR4 {
            return faults;
        }
        if instruction.cpuid_features().iter().any(needs_sse) {
            faults.push(format!(
                "{}: needs SSE before CR4.OSFXSR is set",
                place(program, &instruction)
            ));
        }
        let near = matches!(
            instruction.op0_kind(),
            OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64
        );
        if near && !within.contains(&instruction.near_branch_target()) {
            faults.push(format!(
                "{}: leaves {INTEGER_SECTION} before CR4.OSFXSR is set",
                place(program, &instruction)
            ));
        }
    }
    faults.push(format!(
        "nothing after the entry point {:#x} writes to CR4: SSE is never switched on",
        program.entry
    ));
    faults
}

fn is_integer(register: Register) -> bool {
    !(register.is_vector_register()
        || register.is_mm()
        || register.is_st()
        || register.is_k()
        || register.is_tmm())
}

fn needs_sse(feature: &CpuidFeature) -> bool {
    let name = format!("{feature:?}");
    ["SSE", "AVX", "MMX", "FPU", "FXSR", "SHA", "AES", "XSAVE"]
        .iter()
        .any(|family| name.starts_with(family))
}

/// Every instruction of a section in order.
pub fn decode<'a>(section: &'a Section<'_>) -> impl Iterator<Item = Instruction> + 'a {
    Decoder::with_ip(64, section.bytes, section.address, DecoderOptions::NONE).into_iter()
}

/// `0x1234 (purgatory::story::tell+0x10) hlt`.
pub fn place(program: &Program<'_>, instruction: &Instruction) -> String {
    let at = instruction.ip();
    let offset = at - symbol(program, at).map_or(0, |s| s.address);
    format!("{at:#x} ({}+{offset:#x}) {:?}", function(program, at), instruction.mnemonic())
}

/// The demangled name of the function that contains an address.
pub fn function(program: &Program<'_>, at: u64) -> String {
    symbol(program, at).map_or_else(
        || "?".into(),
        |symbol| format!("{:#}", rustc_demangle::demangle(&symbol.name)),
    )
}

fn symbol<'a>(program: &'a Program<'_>, at: u64) -> Option<&'a Symbol> {
    program.symbols.iter().rev().find(|s| s.address <= at)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// mov %cr4, %rax; mov %rax, %cr4; ldmxcsr (%rsp); ud2
    const SSE_ON: &[u8] = b"\x0f\x20\xe0\x0f\x22\xe0\x0f\xae\x14\x24\x0f\x0b";
    /// Where the second section of a program starts.
    const TEXT: u64 = 0x100;

    fn program<'a>(integer: &'a [u8], text: &'a [u8]) -> Program<'a> {
        let section = |name: &str, address, bytes: &'a [u8]| {
            let size = bytes.len() as u64;
            Section { name: name.into(), address, size, executable: true, writable: false, bytes }
        };
        let symbols = [
            (0, "purgatory_start"),
            (TEXT, "purgatory::arch::x86_64::serial::inb"),
            (TEXT + 2, "story"),
        ];
        let symbols = symbols.map(|(address, name)| Symbol { name: name.into(), address }).into();
        Program {
            entry: 0,
            sections: vec![section(INTEGER_SECTION, 0, integer), section(".text", TEXT, text)],
            symbols,
        }
    }

    #[test]
    fn instructions_in_forbidden_places_are_found() {
        let before = |code: &[u8]| [code, SSE_ON].concat();
        let after = |code: &[u8]| [SSE_ON, code].concat();
        for (integer, text, expected) in [
            // in %dx, %al in its own function.
            (SSE_ON.to_vec(), &b"\xec\xc3"[..], &[][..]),
            // ldmxcsr (%rsp); ud2; call .text
            (before(b"\x0f\xae\x14\x24"), b"", &["needs SSE before"]),
            (b"\x0f\x0b".to_vec(), b"", &["never switched on"]),
            (before(b"\xe8\xfb\x00\x00\x00"), b"", &["leaves .text.integer"]),
            // pxor %xmm0, %xmm0: after SSE is on, but perhaps in a trap that interrupted SSE code.
            (after(b"\x66\x0f\xef\xc0"), b"", &["XMM0"]),
            // 0x06 was PUSH ES.
            (SSE_ON.to_vec(), b"\x06", &["is an invalid instruction"]),
            // in, out, hlt, cpuid, rdmsr, wrmsr, mov %rax, %dr7, mov %dr0, %rax in another.
            (
                SSE_ON.to_vec(),
                b"\xec\xc3\xec\xee\xf4\x0f\xa2\x0f\x32\x0f\x30\x0f\x23\xf8\x0f\x21\xc0",
                &["(story+"; 8],
            ),
        ] {
            let found = faults(&program(&integer, text));
            assert_eq!(found.len(), expected.len(), "{found:?}");
            let pairs = found.iter().zip(expected);
            assert!(pairs.clone().all(|(fault, words)| fault.contains(words)), "{found:?}");
        }
    }
}
