//! The CPUs and their states: a table without locks, because NMI handlers read and write it.

use core::ptr;
use core::sync::atomic::{AtomicU32, Ordering::SeqCst};

use crossbeam_utils::atomic::AtomicCell;

use crate::apic;
use crate::harness::give_up;

/// Number of xAPIC ids, without the broadcast id.
const MAX: usize = 255;

/// What a CPU can be ordered to run.
pub type Work = fn() -> !;

/// What a CPU is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No CPU has this number.
    Absent,
    /// INIT was sent, and the CPU has not arrived.
    Starting,
    /// It waits for work.
    Idle,
    /// It runs its work, or it booted.
    Busy,
    /// It runs its work, and no order to stop reaches it.
    Unstoppable,
    /// It is halted in the NMI handler.
    Stopped,
    /// It is halted and may be unplugged, or already is. It can be started again.
    Offline,
}

/// What a CPU must do on its next NMI.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Return, and look for work.
    #[default]
    None,
    /// Save the note and halt.
    Stop,
    /// Halt; the CPU will be unplugged.
    GoOffline,
    /// Run the work inside the handler.
    Panic,
}

pub struct Cpu {
    apic_id: AtomicU32,
    /// What it is doing.
    pub state: AtomicCell<State>,
    /// What it must do on its next NMI.
    pub order: AtomicCell<Order>,
    /// What it must run when it wakes, until it has taken it.
    pub work: AtomicCell<Option<Work>>,
}

// An NMI handler may interrupt any access, so none may take a lock.
const _: () = assert!(AtomicCell::<State>::is_lock_free() && AtomicCell::<Order>::is_lock_free());
const _: () = assert!(AtomicCell::<Option<Work>>::is_lock_free());

/// Index: number.
static CPUS: [Cpu; MAX] = [const {
    Cpu {
        apic_id: AtomicU32::new(0),
        state: AtomicCell::new(State::Absent),
        order: AtomicCell::new(Order::None),
        work: AtomicCell::new(None),
    }
}; MAX];

/// Every CPU that was ever numbered, ascending.
pub fn all() -> impl Iterator<Item = &'static Cpu> {
    CPUS.iter().take_while(|cpu| cpu.state.load() != State::Absent)
}

/// The CPU with this number.
pub fn numbered(number: u32) -> &'static Cpu {
    all().nth(number as usize).unwrap_or_else(|| give_up(format_args!("there is no CPU {number}")))
}

/// The CPU that executes this.
pub fn this() -> &'static Cpu {
    let id = apic::id();
    all()
        .find(|cpu| cpu.apic_id() == id)
        .unwrap_or_else(|| panic!("no number for the CPU with APIC id {id}"))
}

/// Every other online CPU.
pub fn others() -> impl Iterator<Item = &'static Cpu> {
    let own = this();
    all().filter(move |cpu| cpu.is_online() && !ptr::eq(*cpu, own))
}

/// Numbers the CPU with this APIC id, as before or with the next free number, and sets its state.
/// Only one CPU at a time calls this.
pub fn admit(apic_id: u32, state: State) -> &'static Cpu {
    let known = all().find(|cpu| cpu.apic_id() == apic_id);
    assert!(
        known.is_none_or(|cpu| cpu.state.load() == State::Offline),
        "the CPU with APIC id {apic_id} runs already"
    );
    let free = || CPUS.iter().find(|cpu| cpu.state.load() == State::Absent);
    let cpu = known
        .or_else(free)
        .unwrap_or_else(|| panic!("no number is free for the CPU with APIC id {apic_id}"));
    cpu.apic_id.store(apic_id, SeqCst);
    cpu.order.take();
    cpu.work.take();
    cpu.state.store(state);
    cpu
}

impl Cpu {
    pub fn number(&self) -> u32 {
        CPUS.iter().take_while(|cpu| !ptr::eq(*cpu, self)).count() as u32
    }

    /// Its local APIC's id.
    pub fn apic_id(&self) -> u32 {
        self.apic_id.load(SeqCst)
    }

    /// Whether Linux would call it online.
    pub fn is_online(&self) -> bool {
        matches!(self.state.load(), State::Idle | State::Busy | State::Unstoppable)
    }
}
