//! Who there is, and what each is doing: a table without locks, since NMI handlers read and write it.

use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering::SeqCst};

use super::shared::{Shared, numbered};
use crate::apic;
use crate::harness::give_up;

/// As many as xAPIC mode has ids for, without the broadcast id.
const MAX: usize = 255;

/// What a CPU is told to run.
pub type Work = fn() -> !;

numbered! {
    /// What a CPU is doing.
    State {
        /// Nobody has this number.
        Absent,
        /// It has been sent INIT, and has not arrived.
        Starting,
        /// It waits for work.
        Idle,
        /// It runs what it was given, or booted.
        Busy,
        /// It runs what it was given, and no order to stop reaches it.
        Unstoppable,
        /// It stands in the NMI handler for ever.
        Stopped,
        /// It stands still and may be unplugged, or is; it can be started again.
        Offline,
    }
}

numbered! {
    /// What a CPU shall do on its next NMI.
    Order {
        /// Nothing: return, and look whether there is work.
        None,
        /// Save the note and halt.
        Stop,
        /// Halt; the CPU will be unplugged.
        GoOffline,
        /// Run the work inside the handler.
        Panic,
    }
}

/// One CPU.
pub struct Cpu {
    apic_id: AtomicU32,
    state: Shared<State>,
    order: Shared<Order>,
    /// A [`Work`], or null.
    work: AtomicPtr<()>,
}

/// Index: number.
static CPUS: [Cpu; MAX] = [const {
    Cpu { apic_id: AtomicU32::new(0), state: Shared::new(), order: Shared::new(), work: AtomicPtr::new(ptr::null_mut()) }
}; MAX];

/// Every CPU that ever had a number, ascending.
pub fn all() -> impl Iterator<Item = &'static Cpu> {
    CPUS.iter().take_while(|cpu| cpu.state() != State::Absent)
}

/// The CPU with this number.
pub fn numbered(number: u32) -> &'static Cpu {
    all().nth(number as usize).unwrap_or_else(|| give_up(format_args!("CPU {number} is wanted, and was never there")))
}

/// The one that executes this.
pub fn this() -> &'static Cpu {
    let id = apic::id();
    all().find(|cpu| cpu.apic_id() == id).unwrap_or_else(|| panic!("no number for the CPU with APIC id {id}"))
}

/// Every online CPU but the one that executes this.
pub fn others() -> impl Iterator<Item = &'static Cpu> {
    let own = this();
    all().filter(move |cpu| cpu.is_online() && !ptr::eq(*cpu, own))
}

/// Gives the CPU with this APIC id the number it had before, or the next; it is `state` from now on. Only one CPU does this.
pub fn admit(apic_id: u32, state: State) -> &'static Cpu {
    let known = all().find(|cpu| cpu.apic_id() == apic_id);
    assert!(known.is_none_or(|cpu| cpu.state() == State::Offline), "the CPU with APIC id {apic_id} runs already");
    let free = || CPUS.iter().find(|cpu| cpu.state() == State::Absent);
    let cpu = known.or_else(free).unwrap_or_else(|| panic!("no number is free for the CPU with APIC id {apic_id}"));
    cpu.apic_id.store(apic_id, SeqCst);
    cpu.order.swap(Order::None);
    cpu.work.store(ptr::null_mut(), SeqCst);
    cpu.set_state(state);
    cpu
}

impl Cpu {
    /// Its number.
    pub fn number(&self) -> u32 {
        CPUS.iter().take_while(|cpu| !ptr::eq(*cpu, self)).count() as u32
    }

    /// Its local APIC's id.
    pub fn apic_id(&self) -> u32 {
        self.apic_id.load(SeqCst)
    }

    /// What it is doing.
    pub fn state(&self) -> State {
        self.state.get()
    }

    /// From now on it does something else.
    pub fn set_state(&self, state: State) {
        self.state.swap(state);
    }

    /// Whether Linux would call it online.
    pub fn is_online(&self) -> bool {
        matches!(self.state(), State::Idle | State::Busy | State::Unstoppable)
    }

    /// What it shall do on its next NMI.
    pub fn set_order(&self, order: Order) {
        self.order.swap(order);
    }

    /// What it shall do on this NMI.
    pub fn take_order(&self) -> Order {
        self.order.swap(Order::None)
    }

    /// What it shall run when it is woken.
    pub fn set_work(&self, work: Work) {
        self.work.store(work as *mut (), SeqCst);
    }

    /// Whether it has work that it has not taken.
    pub fn has_work(&self) -> bool {
        !self.work.load(SeqCst).is_null()
    }

    /// What it shall run now, if anything.
    pub fn take_work(&self) -> Option<Work> {
        let work = self.work.swap(ptr::null_mut(), SeqCst);
        // SAFETY: a null pointer is `None`, and any other was made from a `Work` by `set_work`.
        unsafe { core::mem::transmute::<*mut (), Option<Work>>(work) }
    }
}
