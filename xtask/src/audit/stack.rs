//! How deep the two stacks can get.
//!
//! * On entry: the program, with names for its functions, and the size of each stack.
//! * On exit: the depth of the deepest call chain on each stack, in bytes; and a sentence for
//!   everything that makes a depth too large or unknown: recursion, a call through a register, a
//!   stack pointer from elsewhere.
//!
//! A function's frame is found by following its instructions, so a result holds for the executed
//! code, not for the source.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use iced_x86::{FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, Register};

use super::image::Code as Program;
use super::instructions::{decode, function, place};

/// The function in trap.S that runs on the exceptions' stack.
const TRAP: &str = "trap";
/// Functions that may jump to an address in a register or in memory: leave.S and enter.S jump to
/// the next kernel.
const LEAVES: [&str; 2] = ["leave", "enter"];
/// Bytes that the CPU pushes on an exception, onto an aligned stack. [`PUSHED`] is added.
const EXCEPTION: u64 = 5 * WORD;
/// Bytes pushed before [`TRAP`]: an error code, by the CPU or by a stub in trap.S, and the vector.
const PUSHED: u64 = 2 * WORD;
/// Bytes that an NMI pushes onto the stack that it interrupts: five words at an address rounded
/// down to 16 (SDM vol. 3A, "Stack switching in IA-32e mode"). The next NMI waits for its IRETQ.
const NMI: u64 = 5 * WORD + WORD;
/// Bytes of a push.
const WORD: u64 = 8;
/// A frame above this limit grows without bound.
const ABSURD: u64 = 1 << 20;

/// The size of each stack in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Used from the entry point on.
    pub story: u64,
    /// Used after an exception.
    pub trap: u64,
}

/// The greatest depth of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Depth {
    /// Which stack.
    pub stack: &'static str,
    /// Bytes in use at most.
    pub bytes: u64,
    /// Bytes of the stack.
    pub room: u64,
}

/// The bytes at the end of the main stack that the debug registers watch: four times eight (SDM
/// vol. 3B, "Debug address registers").
const GUARD: u64 = 4 * 8;
/// A page. If it has a watchpoint, TCG checks every access to it twice.
const PAGE: u64 = 4096;

/// A violation, if the deepest frame of the main stack, which is `stack`, is in the page of its
/// guard.
pub fn guards_page_fault(stack: &Range<u64>, deepest: &Depth) -> Option<String> {
    let guard = stack.start + GUARD - 1;
    let lowest = stack.end.saturating_sub(deepest.bytes);
    (lowest / PAGE <= guard / PAGE).then(|| {
        format!(
            "{}: its deepest frame ends at {lowest:#x}, in the page of the guard, whose last byte \
             is {guard:#x}; make the stack larger, or place it otherwise",
            deepest.stack
        )
    })
}

/// The depths of both stacks, and every violation.
pub fn depths(program: &Program<'_>, room: Option<Room>) -> (Vec<Depth>, Vec<String>) {
    let Some(room) = room else {
        let marks = "there must be .stacks, __trap_stack_top and __stack_top";
        return (Vec::new(), vec![format!("the stacks cannot be found: {marks}")]);
    };
    let Some(trap) = program.symbols.iter().find(|s| s.name == TRAP) else {
        return (
            Vec::new(),
            vec![format!(
                "there is no function {TRAP}: the depth of the exceptions' stack is unknown"
            )],
        );
    };
    let mut graph = Graph::new(program);
    let mut depths = Vec::new();
    let stacks = [
        ("main stack", program.entry, NMI, room.story),
        ("stack of exceptions", trap.address, EXCEPTION + NMI, room.trap),
    ];
    for (stack, root, interruptions, room) in stacks {
        let chain = graph.deepest(root);
        let bytes = chain.bytes + interruptions;
        if bytes > room {
            let names: Vec<String> =
                chain.functions.iter().map(|at| function(program, *at)).collect();
            let chain = names.join(" > ");
            graph.faults.insert(format!(
                "{stack}: it has {room} bytes, {bytes} may be needed, most by {chain}"
            ));
        }
        depths.push(Depth { stack, bytes, room });
    }
    (depths, graph.faults.into_iter().collect())
}

/// Functions, each called by the one before it, and the sum of their frames.
#[derive(Clone, Default)]
struct Chain {
    bytes: u64,
    functions: Vec<u64>,
}

/// One function by itself.
#[derive(Default)]
struct Frame {
    /// Bytes that it uses at most.
    bytes: u64,
    /// Functions that it calls or jumps to, with the bytes in use at the callee's first
    /// instruction.
    calls: BTreeSet<(u64, u64)>,
}

struct Graph<'a, 'data> {
    program: &'a Program<'data>,
    instructions: BTreeMap<u64, Instruction>,
    known: BTreeMap<u64, Chain>,
    /// The current call chain, from a root on.
    open: Vec<u64>,
    faults: BTreeSet<String>,
}

impl<'a, 'data> Graph<'a, 'data> {
    fn new(program: &'a Program<'data>) -> Self {
        let executable = program.sections.iter().filter(|s| s.executable);
        let instructions = executable.flat_map(decode).map(|i| (i.ip(), i)).collect();
        Self {
            program,
            instructions,
            known: BTreeMap::new(),
            open: Vec::new(),
            faults: BTreeSet::new(),
        }
    }

    /// The deepest chain that starts with this function.
    fn deepest(&mut self, start: u64) -> Chain {
        if let Some(known) = self.known.get(&start) {
            return known.clone();
        }
        if let Some(first) = self.open.iter().position(|open| *open == start) {
            let circle: Vec<String> =
                self.open[first..].iter().map(|at| function(self.program, *at)).collect();
            self.faults.insert(format!(
                "recursion without a known depth: {} > and again",
                circle.join(" > ")
            ));
            return Chain::default();
        }
        self.open.push(start);
        let frame = self.frame(start);
        let mut deepest = Chain { bytes: frame.bytes, functions: vec![start] };
        for (callee, bytes) in frame.calls {
            let chain = self.deepest(callee);
            if bytes + chain.bytes > deepest.bytes {
                let functions = [vec![start], chain.functions].concat();
                deepest = Chain { bytes: bytes + chain.bytes, functions };
            }
        }
        self.open.pop();
        self.known.insert(start, deepest.clone());
        deepest
    }

    /// Follows every path through a function. The greatest depth at an instruction counts.
    fn frame(&mut self, start: u64) -> Frame {
        // The function ends at the next name. Before it is at most a call that does not return.
        let end = self
            .program
            .symbols
            .iter()
            .map(|s| s.address)
            .find(|at| *at > start)
            .unwrap_or(u64::MAX);
        let mut frame = Frame::default();
        let mut reached = BTreeMap::new();
        let mut paths = vec![(start, if self.name(start) == TRAP { PUSHED } else { 0 })];
        while let Some((at, before)) = paths.pop() {
            if reached.get(&at).is_some_and(|depth| *depth >= before) {
                continue;
            }
            reached.insert(at, before);
            let Some(instruction) = self.instructions.get(&at).copied() else {
                self.faults.insert(format!(
                    "{at:#x} is reached from {}, but no instruction starts there",
                    self.name(start)
                ));
                continue;
            };
            let leaves = LEAVES.contains(&self.name(start).as_str());
            // enter.S switches to the next kernel's stack, which has none of our frames.
            let leaves_stack = leaves
                && instruction.mnemonic() == Mnemonic::Mov
                && instruction.op0_register() == Register::RSP;
            let after = if leaves_stack { Some(0) } else { depth_after(&instruction, before) };
            let Some(depth) = after.filter(|depth| *depth < ABSURD) else {
                self.faults.insert(format!(
                    "{}: the depth of the stack after it is unknown",
                    place(self.program, &instruction)
                ));
                continue;
            };
            frame.bytes = frame.bytes.max(depth);
            let flow = instruction.flow_control();
            let jumps =
                matches!(flow, FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch);
            let target = instruction.near_branch_target();
            if jumps && (start..end).contains(&target) {
                paths.push((target, depth));
            } else if jumps || flow == FlowControl::Call {
                frame.calls.insert((target, depth));
                if self.program.symbols.iter().all(|s| s.address != target) {
                    let place = place(self.program, &instruction);
                    self.faults
                        .insert(format!("{place}: goes to {target:#x}, where no function starts"));
                }
            }
            let known = flow == FlowControl::IndirectBranch && leaves;
            if matches!(flow, FlowControl::IndirectCall | FlowControl::IndirectBranch) && !known {
                self.faults.insert(format!(
                    "{}: its target is unknown",
                    place(self.program, &instruction)
                ));
            }
            let continues = match flow {
                FlowControl::UnconditionalBranch
                | FlowControl::IndirectBranch
                | FlowControl::Exception => false,
                // entry.S loads CS by a far return to the next instruction.
                FlowControl::Return => instruction.mnemonic() == Mnemonic::Retf,
                _ => true,
            };
            if continues && instruction.next_ip() < end {
                // A callee pops the return address.
                let depth = if flow == FlowControl::Call || flow == FlowControl::IndirectCall {
                    before
                } else {
                    depth
                };
                paths.push((instruction.next_ip(), depth));
            }
        }
        frame
    }

    fn name(&self, at: u64) -> String {
        function(self.program, at)
    }
}

/// Bytes in use after an instruction, `None` if unknown.
fn depth_after(instruction: &Instruction, before: u64) -> Option<u64> {
    let moved = i64::from(instruction.stack_pointer_increment());
    if moved != 0 {
        // A function's return address counts as its caller's.
        let returns = instruction.flow_control() == FlowControl::Return
            && instruction.mnemonic() != Mnemonic::Retf;
        return if returns { Some(before) } else { before.checked_add_signed(-moved) };
    }
    let writes = |access| {
        !matches!(
            access,
            OpAccess::None | OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess
        )
    };
    let mut factory = InstructionInfoFactory::new();
    let info = factory.info(instruction);
    if !info
        .used_registers()
        .iter()
        .any(|used| used.register().full_register() == Register::RSP && writes(used.access()))
    {
        return Some(before);
    }
    let by = || instruction.try_immediate(1).ok();
    match instruction.mnemonic() {
        Mnemonic::Sub => before.checked_add(by()?),
        Mnemonic::Add => before.checked_sub(by()?),
        // The top of an empty stack.
        Mnemonic::Lea if instruction.is_ip_rel_memory_operand() => Some(0),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
