use super::*;
use crate::machine::example;

fn request() -> Request {
    Request { command_line: "quiet console=ttyS0,115200".into(), ..crate::request::example() }
}

#[test]
fn defaults_follow_the_machine_and_the_command_line() {
    let settings = Settings::decide(&request(), &example::machine()).unwrap();
    assert_eq!(
        (settings.engine, settings.console, settings.phys_limit),
        (EngineId::ShaNi, Some(0x3f8), 1 << 40)
    );
    assert_eq!(
        (settings.permissions, settings.console_kind()),
        (Permissions::ALL, ConsoleKind::Uart8250)
    );
}

#[test]
fn engine_that_the_cpus_lack_is_refused_not_replaced() {
    let mut machine = example::machine();
    machine.cpu.sha_ni = false;
    let with = |engine| {
        Settings::decide(&Request { engine, ..request() }, &machine).map(|settings| settings.engine)
    };
    assert_eq!(with(EngineChoice::Auto), Ok(EngineId::Soft));
    assert_eq!(
        with(EngineChoice::Only(EngineId::ShaNi)),
        Err(Error::EngineMissing(EngineId::ShaNi))
    );
    assert_eq!(with(EngineChoice::Only(EngineId::Soft)), Ok(EngineId::Soft));
}

#[test]
fn confidential_guest_gets_no_console_and_no_permissions() {
    let mut machine = example::machine();
    machine.cpu.confidential = Some(FOUND);
    let settings =
        Settings::decide(&Request { console: Console::Port(0x3f8), ..request() }, &machine)
            .unwrap();
    assert_eq!((settings.console, settings.permissions), (None, Permissions::NONE));
}

const FOUND: ConfidentialGuest = ConfidentialGuest { kind: "tdx_guest", evidence: "/proc/cpuinfo" };

#[test]
fn request_overrides_detection() {
    for found in [None, Some(FOUND)] {
        let mut machine = example::machine();
        machine.cpu.confidential = found;
        let decided = |confidential| {
            Settings::decide(&Request { confidential, ..request() }, &machine).unwrap()
        };
        let (auto, yes, no) =
            (decided(Confidential::Auto), decided(Confidential::Yes), decided(Confidential::No));
        assert_eq!(auto.confidential, found);
        assert_eq!((yes.console, yes.permissions), (None, Permissions::NONE));
        assert_eq!(
            yes.confidential.map(|guest| guest.evidence),
            Some(found.map_or("the request", |f| f.evidence))
        );
        assert_eq!(
            (no.console, no.permissions, no.confidential),
            (Some(0x3f8), Permissions::ALL, None)
        );
    }
}

#[test]
fn values_that_the_purgatory_would_refuse_are_refused_here() {
    let machine = example::machine();
    let refused = |request: Request| Settings::decide(&request, &machine).unwrap_err();
    for leaf_size in [0, 2048, 4097, 128 << 20] {
        assert_eq!(
            refused(Request { leaf_size: Some(leaf_size), ..request() }),
            Error::LeafSize(leaf_size)
        );
    }
    let reset_delay_ms = MAX_RESET_DELAY_MS + 1;
    assert_eq!(
        refused(Request { reset_delay_ms: Some(reset_delay_ms), ..request() }),
        Error::ResetDelay(reset_delay_ms)
    );
    for port in [0, 0xfff9] {
        assert_eq!(
            refused(Request { console: Console::Port(port), ..request() }),
            Error::ConsolePort(port)
        );
    }
}

#[test]
fn signals_are_those_that_the_machine_has_and_the_request_names() {
    let mut machine = example::machine();
    let all = machine.signals;
    let decided = |signals, machine: &Machine| {
        Settings::decide(&Request { signals, ..request() }, machine)
            .map(|settings| settings.signals)
    };
    let only = |pvpanic, ipmi| SignalChoice::Only { pvpanic, ipmi };
    assert_eq!(decided(SignalChoice::Auto, &machine), Ok(all));
    assert_eq!(decided(SignalChoice::None, &machine), Ok(SignalPorts::default()));
    let pvpanic = SignalPorts { kcs: None, ..all };
    assert_eq!(decided(only(true, false), &machine), Ok(pvpanic));
    machine.signals = SignalPorts::default();
    assert_eq!(decided(SignalChoice::Auto, &machine), Ok(SignalPorts::default()));
    for (choice, missing) in [(only(true, false), "pvpanic"), (only(false, true), "ipmi")] {
        let refused = decided(choice, &machine).unwrap_err();
        assert!(
            matches!(refused, Error::SignalMissing { signal, .. } if signal == missing),
            "{refused}"
        );
    }
}

#[test]
fn impossible_machines_are_refused() {
    for tsc_khz in [0, MAX_TSC_KHZ + 1, u32::MAX] {
        let mut machine = example::machine();
        machine.cpu.tsc_khz = tsc_khz;
        assert_eq!(Settings::decide(&request(), &machine), Err(Error::Tsc(tsc_khz)));
    }
    for bits in [0, 31, 53, 64] {
        let mut machine = example::machine();
        machine.cpu.physical_bits = bits;
        assert_eq!(Settings::decide(&request(), &machine), Err(Error::PhysicalBits { bits }));
    }
}
