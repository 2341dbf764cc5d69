//! After the panic: the purgatory's lines, then the capture kernel with its vmcore, or the
//! machine's end.

use std::ops::Range;
use std::time::{Duration, Instant};

use handoff::Verdict;
use handoff::report::{Elfcorehdr, Report};

use crate::error::{Error, check, check_eq};
use crate::evidence::console::{self, Said};
use crate::evidence::elfcore::ElfCore;
use crate::evidence::outcome::Phase;
use crate::evidence::report;
use crate::guest::initramfs::Role;
use crate::machine::vm::{Arrival, Line, Vm, expect_wait};
use crate::stage::Stage;
use crate::stage::first::Victim;
use crate::stage::load::RESET_DELAY_S;

/// What every panic of the tests prints (`sysrq_handle_crash`, drivers/tty/sysrq.c).
pub const PANIC: &str = "Kernel panic - not syncing: sysrq triggered crash";
/// What an oops by UD2 prints. With panic_on_oops set, the capture kernel is entered before the
/// line about the panic (`oops_end`, arch/x86/kernel/dumpstack.c).
pub const OOPS: &str = "Oops: invalid opcode";

/// How often to ask whether a CPU hangs.
const HALT_POLL: Duration = Duration::from_millis(50);
/// `JMP` to itself (SDM vol. 2, "JMP - Jump", opcode EB with a displacement of -2).
pub const JUMP_TO_ITSELF: [u8; 2] = [0xeb, 0xfe];

pub struct Crashed<'s, 'c> {
    pub stage: &'s mut Stage<'c>,
    pub vm: Vm,
    /// What is known of the crashed kernel.
    pub victim: Victim,
    /// All that the purgatory has said so far.
    pub said: Vec<Said>,
    /// When the host saw the line about the panic.
    pub panicked_at: Instant,
    announced_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
pub struct Reset {
    /// Whether the CPU reset itself because an exception could not be delivered, instead of being
    /// told to.
    pub triple_fault: bool,
    /// How long after its announcement; `None` when there was none.
    pub after: Option<Duration>,
}

pub struct Capture<'s, 'c> {
    pub crashed: Crashed<'s, 'c>,
    /// The report in its command line.
    pub report: Report,
}

impl<'s, 'c> Crashed<'s, 'c> {
    pub(crate) fn new(
        stage: &'s mut Stage<'c>,
        mut vm: Vm,
        victim: Victim,
        words: &str,
    ) -> Result<Self, Error> {
        let at = vm.await_words("the panic", words)?.at;
        stage.outcome.at(at, "the kernel panics");
        stage.outcome.enter(Phase::Panic, at);
        Ok(Self { panicked_at: at, ..Self::panicked(stage, vm, victim) })
    }

    /// A machine whose panic has just been seen.
    pub(crate) fn panicked(stage: &'s mut Stage<'c>, vm: Vm, victim: Victim) -> Self {
        let panicked_at = Instant::now();
        Self { stage, vm, victim, said: Vec::new(), panicked_at, announced_at: None }
    }

    /// Waits for the capture kernel's user space and reads the purgatory's report.
    pub fn capture(mut self) -> Result<Capture<'s, 'c>, Error> {
        self.await_capture_kernel()?;
        let report = report::parse(&self.vm.run_ok("cat /proc/cmdline")?)?;
        self.stage.outcome.now(format!("report: {report}"));
        self.stage.outcome.evidence.report = Some(report.to_string());
        self.stage.outcome.fact(
            "purgatory: time",
            format!("{} us with {}", report.microseconds, report.engine.word()),
        );
        Ok(Capture { crashed: self, report })
    }

    /// Waits for the capture kernel's user space, no matter how it was booted.
    pub fn await_capture_kernel(&mut self) -> Result<(), Error> {
        let mut lines = Vec::new();
        let release = self.vm.await_greeting(Role::Capture, |line| {
            lines.push(line.clone());
            Ok(())
        })?;
        lines.iter().try_for_each(|line| self.listen(line))?;
        self.stage.outcome.enter(Phase::Capture, Instant::now());
        self.stage.outcome.now(format!("capture kernel {release} is up"));
        Ok(())
    }

    /// Waits until the purgatory has said something that `wanted` recognises.
    pub fn await_said(&mut self, what: &str, wanted: impl Fn(&Said) -> bool) -> Result<(), Error> {
        while !self.said.iter().any(&wanted) {
            let arrival = self.vm.next(what)?;
            self.hear(&arrival)?;
        }
        Ok(())
    }

    /// Waits for a line of the console with these words, and notes it as `what`.
    pub fn await_words(&mut self, what: &str, words: &str) -> Result<(), Error> {
        let at = self.vm.await_words(what, words)?.at;
        self.stage.outcome.at(at, what);
        Ok(())
    }

    /// Waits until every CPU is halted. The purgatory's last line comes before the instruction and
    /// nothing after it, so QEMU has to be asked.
    pub fn await_halt(&mut self) -> Result<(), Error> {
        self.ask_until("every CPU to halt", |vm| vm.monitor.all_cpus_halted())?;
        self.stage.outcome.now("every CPU is halted");
        Ok(())
    }

    /// Waits until the first CPU executes a jump to itself at an address in `code`, which is the
    /// same in physical memory: nothing that can be waited for will happen any more.
    pub fn await_endless_loop(&mut self, code: &Range<u64>) -> Result<(), Error> {
        self.ask_until("the CPU to hang", |vm| {
            let rip = vm.monitor.instruction_pointer()?;
            Ok(code.contains(&rip) && vm.ram.read(rip, JUMP_TO_ITSELF.len())? == JUMP_TO_ITSELF)
        })?;
        self.stage.outcome.now("the CPU hangs, in a jump to itself");
        Ok(())
    }

    /// Asks QEMU again and again until it is so.
    fn ask_until(
        &mut self,
        what: &str,
        holds: impl Fn(&mut Vm) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        while !holds(&mut self.vm)? {
            if let Some(arrival) = self.vm.next_within(HALT_POLL, what)? {
                self.hear(&arrival)?;
            }
        }
        Ok(())
    }

    /// Waits for the machine's end, which must come by a reset, without the capture kernel's ever
    /// coming up.
    pub fn reset(&mut self) -> Result<Reset, Error> {
        loop {
            match self.vm.next_or_end("the reset")? {
                Arrival::End => break,
                arrival => self.hear(&arrival)?,
            }
        }
        let after = self.announced_at.map(|announced| announced.elapsed());
        self.vm.monitor.expect_reset()?;
        let triple_fault = self.vm.triple_faulted()?;
        self.stage.outcome.now(if triple_fault { "reset by a triple fault" } else { "reset" });
        Ok(Reset { triple_fault, after })
    }

    /// The same, but the reset must be one that was asked for.
    pub fn orderly_reset(&mut self) -> Result<Option<Duration>, Error> {
        let Reset { triple_fault, after } = self.reset()?;
        check!(!triple_fault, "the reset: expected one that was asked for, found a triple fault")?;
        Ok(after)
    }

    /// Waits for a [`Crashed::reset`] that the purgatory asks for, after the delay that it has
    /// announced; returns the delay in milliseconds.
    pub fn reset_as_announced(&mut self) -> Result<u32, Error> {
        let after = self.orderly_reset()?;
        let announced = self.said.iter().find_map(|said| match said {
            Said::Resetting(delay_ms) => Some(*delay_ms),
            _ => None,
        });
        let no_reset = || Error::Failed(format!("no reset was announced: {:?}", self.said));
        let (delay_ms, after) = announced.zip(after).ok_or_else(no_reset)?;
        expect_wait(Duration::from_millis(delay_ms.into()), after)?;
        let figure = format!("{:.2} s", after.as_secs_f64());
        self.stage.outcome.fact("reset: time since its announcement", figure);
        Ok(delay_ms)
    }

    /// The same after the delay that scenarios ask for; the verdict must be this.
    pub fn expect_refusal(&mut self, verdict: Verdict) -> Result<(), Error> {
        let delay_ms = self.reset_as_announced()?;
        check_eq!(delay_ms, RESET_DELAY_S * 1000, "announced delay of the reset, in milliseconds")?;
        self.expect_verdict(verdict)
    }

    /// The verdict on the console must be this.
    pub fn expect_verdict(&self, verdict: Verdict) -> Result<(), Error> {
        check_eq!(self.verdict(), Some(verdict), "verdict on the console")
    }

    /// The purgatory must have said something else that fits.
    pub fn expect_remark(&self, what: &str, fits: impl Fn(&str) -> bool) -> Result<(), Error> {
        let fits = |said: &Said| matches!(said, Said::Remark(text) if fits(text));
        let said = &self.said;
        check!(said.iter().any(fits), "the console: expected {what}, found {said:?}")
    }

    /// Has the first CPU raise a machine check once it hangs at an address in `code`.
    pub fn machine_check_in_loop(&mut self, code: &Range<u64>) -> Result<(), Error> {
        self.await_endless_loop(code)?;
        self.vm.monitor.inject_machine_check()?;
        self.stage.outcome.now("a machine check is injected");
        Ok(())
    }

    /// The verdict on the console, if there was one.
    pub fn verdict(&self) -> Option<Verdict> {
        self.said.iter().find_map(|said| match said {
            Said::Verdict(verdict) => Some(*verdict),
            _ => None,
        })
    }

    /// Takes note of a line of the console.
    pub(super) fn listen(&mut self, line: &Line) -> Result<(), Error> {
        if let Some(said) = console::parse(&line.text)? {
            self.stage.outcome.at(line.at, line.text.trim_start());
            if matches!(said, Said::Resetting(_)) {
                self.announced_at = Some(line.at);
            }
            match &said {
                Said::Verifying => self.stage.outcome.enter(Phase::Purgatory, line.at),
                Said::Verdict(Verdict::Ok) | Said::Booting => {
                    self.stage.outcome.enter(Phase::Start, line.at)
                }
                _ => {}
            }
            if let Said::Verdict(verdict) = &said {
                self.stage.outcome.evidence.verdict = Some(verdict.word().to_owned());
            }
            self.said.push(said);
        }
        Ok(())
    }

    /// Takes note of what a machine says that must not come up again: the capture kernel must not
    /// greet.
    fn hear(&mut self, arrival: &Arrival) -> Result<(), Error> {
        match arrival {
            Arrival::Console(line) => self.listen(line),
            Arrival::Agent(text) => {
                let greets = text.starts_with(&format!("@{} ", Role::Capture.word()));
                check!(!greets, "after the panic: expected no capture kernel, found {text}")
            }
            Arrival::End => Ok(()),
        }
    }
}

impl Capture<'_, '_> {
    /// The report must claim this verdict.
    pub fn expect_verdict(&self, verdict: Verdict) -> Result<(), Error> {
        check_eq!(self.report.verdict, verdict, "verdict in the report")
    }

    /// Runs a shell command in the capture kernel that must succeed.
    pub fn run_ok(&mut self, command: &str) -> Result<String, Error> {
        self.crashed.vm.run_ok(command)
    }

    /// Everything that must be true of every vmcore; returns its headers.
    pub fn check_vmcore(&mut self) -> Result<ElfCore, Error> {
        self.crashed.check_vmcore()
    }

    /// The usual end: the purgatory has found nothing wrong, and the vmcore is complete; returns
    /// its headers.
    pub fn expect_dump(&mut self) -> Result<ElfCore, Error> {
        self.expect_verdict(Verdict::Ok)?;
        check_eq!(self.report.elfcorehdr, Elfcorehdr::Ok, "elfcorehdr in the report")?;
        self.check_vmcore()
    }
}
