//! What is asked of a kernel that is busy, old or unwilling.

use super::*;

/// A kernel that follows a script and a clock that moves only while somebody waits.
struct Script<F> {
    answer: F,
    calls: Vec<u64>,
    clock: Duration,
}

impl<F: FnMut(u64, Duration) -> Result<(), i32>> System for Script<F> {
    fn call(&mut self, flags: u64) -> Result<(), i32> {
        self.calls.push(flags);
        (self.answer)(flags, self.clock)
    }

    fn now(&mut self) -> Duration {
        self.clock
    }

    fn pause(&mut self, length: Duration) {
        assert!(!length.is_zero(), "a pause of nothing is a busy loop");
        self.clock += length;
    }
}

fn script<F: FnMut(u64, Duration) -> Result<(), i32>>(answer: F) -> Script<F> {
    Script { answer, calls: Vec::new(), clock: Duration::ZERO }
}

fn outcome(system: &mut impl System, hotplug: bool) -> Result<Armed, Error> {
    arm(system, hotplug).map_err(|(failure, flags)| explain(failure, flags, 0x1000, 6))
}

#[test]
fn flags_are_those_of_the_kernel_header() {
    let mut kernel = script(|_, _| Ok(()));
    assert_eq!(outcome(&mut kernel, true), Ok(Armed { hotplug: true }));
    assert_eq!(outcome(&mut kernel, false), Ok(Armed { hotplug: false }));
    assert_eq!(kernel.calls, [0x3e_0005, 0x3e_0001]);
}

#[test]
fn unknown_hotplug_flag_is_left_out_and_said_so() {
    let mut kernel = script(|flags, _| if flags & 4 == 0 { Ok(()) } else { Err(libc::EINVAL) });
    assert_eq!(outcome(&mut kernel, true), Ok(Armed { hotplug: false }));
    assert_eq!(kernel.calls, [0x3e_0005, 0x3e_0001]);
}

#[test]
fn invalid_without_the_flag_is_an_error() {
    let mut kernel = script(|_, _| Err(libc::EINVAL));
    assert_eq!(outcome(&mut kernel, true), Err(Error::Invalid { flags: 0x3e_0001, segments: 6 }));
}

#[test]
fn busy_for_a_while_is_waited_out() {
    let mut kernel = script(|_, clock| if clock < Duration::from_secs(2) { Err(libc::EBUSY) } else { Ok(()) });
    assert_eq!(outcome(&mut kernel, true), Ok(Armed { hotplug: true }));
    assert!(kernel.calls.len() < 15, "{} tries would use up kexec_load_limit_panic", kernel.calls.len());
}

#[test]
fn busy_for_ever_is_given_up() {
    let mut kernel = script(|_, _| Err(libc::EBUSY));
    let error = outcome(&mut kernel, true).unwrap_err();
    assert_eq!(error, Error::Busy { waited: PATIENCE, tries: kernel.calls.len() as u32 });
    assert!(error.to_string().contains("5 s"), "{error}");
}

#[test]
fn other_errors_are_not_retried() {
    for (errno, word) in [
        (libc::EPERM, "kexec_load_disabled"),
        (libc::EACCES, "IMA"),
        (libc::EADDRNOTAVAIL, "0x1000"),
        (libc::ENOMEM, "crashkernel="),
        (libc::EFAULT, "EFAULT"),
        (libc::ENOSYS, "CONFIG_KEXEC"),
        (libc::EIO, "error 5"),
    ] {
        let mut kernel = script(|_, _| Err(errno));
        let message = outcome(&mut kernel, true).unwrap_err().to_string();
        assert!(message.contains(word), "{message}");
        assert_eq!(kernel.calls.len(), 1, "errno {errno}");
    }
}

#[test]
fn interrupted_look_at_the_clock_does_not_change_the_frequency() {
    // 2 GHz. Nearly every look is interrupted for 30 ms between clock and counter.
    let at = |ms: u64, interrupted_ms: u64| Look {
        before: Duration::from_millis(ms),
        ticks: (ms + interrupted_ms) * 2_000_000,
        after: Duration::from_millis(ms + interrupted_ms),
    };
    let looks = |ms: u64, steady: usize| {
        let mut looks = [at(ms, 30); TSC_LOOKS];
        looks[steady] = at(ms, 0);
        steadiest(looks)
    };
    assert_eq!(khz(&looks(0, 3), &looks(20, 15)), 2_000_000);
}

#[test]
fn measured_tsc_is_a_frequency() {
    assert!(measure_tsc_khz() > 100_000, "no x86-64 CPU runs below 100 MHz");
}
