//! What the CPU will be asked to do.
//!
//! On entry: the image, with names for its functions.
//! On exit: every instruction that is in a place where it must not be, as a sentence.

use iced_x86::{Code, CpuidFeature, Decoder, DecoderOptions, Instruction, InstructionInfoFactory, Mnemonic, OpKind, Register};

use super::image::{Image, Section, Symbol};

/// Code that runs before SSE is on, or interrupts code that uses it: entry.S, leave.S and trap.S, as the linker script collects
/// them.
const INTEGER_SECTION: &str = ".text.integer";

/// Instructions that a confidential guest cannot execute once its #VC or #VE handler is gone, and the functions that may: each
/// of them looks at the block's permissions first. Names are demangled paths; inlining moves code into callers, so that the
/// innermost functions carry `#[inline(never)]`.
const GUARDED: [Guarded; 4] = [
    Guarded { what: "CPUID", mnemonics: &[Mnemonic::Cpuid], functions: &[] },
    Guarded { what: "port I/O", mnemonics: PORT_IO, functions: &[] },
    Guarded { what: "HLT", mnemonics: &[Mnemonic::Hlt], functions: &[] },
    Guarded { what: "MSR access", mnemonics: &[Mnemonic::Rdmsr, Mnemonic::Wrmsr], functions: &[] },
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
    mnemonics: &'static [Mnemonic],
    functions: &'static [&'static str],
}

/// Every violation.
pub fn faults(image: &Image<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    match image.sections.iter().find(|s| s.name == INTEGER_SECTION) {
        None => faults.push(format!("there is no section {INTEGER_SECTION}: what runs before SSE is on cannot be told from the rest")),
        Some(section) => {
            faults.extend(integer_faults(image, section));
            faults.extend(entry_faults(image, section));
        }
    }
    for section in image.sections.iter().filter(|s| s.executable) {
        for instruction in decode(section) {
            if instruction.code() == Code::INVALID {
                faults.push(format!("{} is no instruction", place(image, &instruction)));
            }
            let guarded = GUARDED.iter().find(|g| g.mnemonics.contains(&instruction.mnemonic()));
            if let Some(guarded) = guarded.filter(|g| !g.functions.contains(&function(image, instruction.ip()).as_str())) {
                faults.push(format!("{}: {} outside the functions that ask the block first", place(image, &instruction), guarded.what));
            }
        }
    }
    faults
}

/// No instruction of the integer section may name a register whose contents belong to interrupted code.
fn integer_faults(image: &Image<'_>, section: &Section<'_>) -> Vec<String> {
    let mut factory = InstructionInfoFactory::new();
    let mut faults = Vec::new();
    for instruction in decode(section) {
        let info = factory.info(&instruction);
        if let Some(used) = info.used_registers().iter().find(|used| !is_integer(used.register())) {
            let register = used.register();
            faults.push(format!("{}: uses {register:?}, but {INTEGER_SECTION} is for integer instructions", place(image, &instruction)));
        }
    }
    faults
}

/// From the entry point up to the write to CR4 that switches SSE on, no instruction needs SSE, and none leaves the integer section.
fn entry_faults(image: &Image<'_>, section: &Section<'_>) -> Vec<String> {
    let within = section.address..section.address + section.size;
    if !within.contains(&image.entry) {
        return vec![format!("the entry point {:#x} is not in {INTEGER_SECTION}", image.entry)];
    }
    let mut faults = Vec::new();
    for instruction in decode(section).filter(|i| i.ip() >= image.entry) {
        if instruction.mnemonic() == Mnemonic::Mov && instruction.op0_register() == Register::CR4 {
            return faults;
        }
        if instruction.cpuid_features().iter().any(needs_sse) {
            faults.push(format!("{}: needs SSE before CR4.OSFXSR is set", place(image, &instruction)));
        }
        let near = matches!(instruction.op0_kind(), OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64);
        if near && !within.contains(&instruction.near_branch_target()) {
            faults.push(format!("{}: leaves {INTEGER_SECTION} before CR4.OSFXSR is set", place(image, &instruction)));
        }
    }
    faults.push(format!("nothing after the entry point {:#x} writes to CR4: SSE is never switched on", image.entry));
    faults
}

fn is_integer(register: Register) -> bool {
    !(register.is_vector_register() || register.is_mm() || register.is_st() || register.is_k() || register.is_tmm())
}

fn needs_sse(feature: &CpuidFeature) -> bool {
    let name = format!("{feature:?}");
    ["SSE", "AVX", "MMX", "FPU", "FXSR", "SHA", "AES", "XSAVE"].iter().any(|family| name.starts_with(family))
}

/// Every instruction of a section, one after the other.
fn decode<'a>(section: &'a Section<'_>) -> impl Iterator<Item = Instruction> + 'a {
    Decoder::with_ip(64, section.bytes, section.address, DecoderOptions::NONE).into_iter()
}

/// `0x1234 (purgatory::story::tell+0x10) hlt`.
fn place(image: &Image<'_>, instruction: &Instruction) -> String {
    let at = instruction.ip();
    let offset = at - symbol(image, at).map_or(0, |s| s.address);
    format!("{at:#x} ({}+{offset:#x}) {:?}", function(image, at), instruction.mnemonic())
}

/// The demangled name of the function that contains an address.
fn function(image: &Image<'_>, at: u64) -> String {
    symbol(image, at).map_or_else(|| "?".into(), |symbol| format!("{:#}", rustc_demangle::demangle(&symbol.name)))
}

fn symbol<'a>(image: &'a Image<'_>, at: u64) -> Option<&'a Symbol> {
    image.symbols.iter().rev().find(|s| s.code && s.address <= at)
}
