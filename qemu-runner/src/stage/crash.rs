//! The end of the first kernel: a panic, or an oops that becomes a panic.

use super::first::{First, Victim};
use super::load::number;
use crate::error::Error;
use crate::stage::capture::{Crashed, OOPS, PANIC};

const UD2: [u8; 2] = [0x0f, 0x0b];
/// Reads /proc/execdomains (kernel/exec_domain.c), which no program does.
const NEVER_CALLED: &str = "execdomains_proc_show";

impl<'s, 'c> First<'s, 'c> {
    /// Panics, on `cpu` if one is given.
    pub fn panic(self, cpu: Option<u32>) -> Result<Crashed<'s, 'c>, Error> {
        let pinned = cpu.map_or_else(String::new, |cpu| format!("taskset {:x} ", 1_u64 << cpu));
        self.crash(&format!("{pinned}sh -c 'echo c >/proc/sysrq-trigger'\n"), PANIC)
    }

    /// Panics by `kdump-loader test --panic`.
    pub fn panic_by_test(self, loader: &str) -> Result<Crashed<'s, 'c>, Error> {
        self.crash(&format!("hostname | {loader} test --panic\n"), PANIC)
    }

    /// Lets the kernel oops: an invalid instruction is written from outside over the start of a
    /// function that has never run, so that the emulator has not translated it, and the function is
    /// called.
    pub fn oops(mut self) -> Result<Crashed<'s, 'c>, Error> {
        let symbols = self.vm.run_ok(&format!(
            "sed -n -e 's/ T _text$//p' -e 's/ [tT] {NEVER_CALLED}$//p' /proc/kallsyms"
        ))?;
        let mut addresses: Vec<u64> = Vec::new();
        for line in symbols.lines() {
            let address = u64::from_str_radix(line.trim(), 16);
            addresses.push(address.map_err(|_| Error::unreadable("a symbol's address", line))?);
        }
        addresses.sort_unstable();
        let [text, function] = addresses[..] else {
            return Err(Error::unreadable("the addresses of _text and a function", &symbols));
        };
        // The kernel's text is mapped as a whole.
        let physical = self.iomem()?.kernel_text + (function - text);
        self.vm.ram.write(physical, &UD2)?;
        self.note(format!("UD2 written over {NEVER_CALLED}, at {physical:#x}"));
        self.crash("cat /proc/execdomains\n", OOPS)
    }

    /// Says `command` to the guest's shell and waits for `words` on the console.
    fn crash(mut self, command: &str, words: &str) -> Result<Crashed<'s, 'c>, Error> {
        let victim = Victim {
            release: self.release.clone(),
            iomem: self.iomem()?,
            online_cpus: number(&self.vm.run_ok("grep -c ^processor /proc/cpuinfo")?)?,
            sentinels: std::mem::take(&mut self.sentinels),
        };
        self.stage.outcome.evidence.before_panic = Some(victim.iomem.clone());
        self.vm.say(command)?;
        Crashed::new(self.stage, self.vm, victim, words)
    }
}
