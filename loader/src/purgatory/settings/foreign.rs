//! `[4b]` The configuration of a foreign purgatory, apart from the segments. It supports few
//! settings; all others are rejected by name.

use super::{Error, confidential, console, permissions};
use crate::machine::{ConfidentialGuest, Machine};
use crate::purgatory::foreign::Contract;
use crate::request::{Console, EngineChoice, Request, SignalChoice};

/// The configuration of a foreign purgatory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ForeignSettings {
    /// First I/O port of the UART that it prints on; `None` if it does not print.
    pub console: Option<u16>,
    /// The confidential guest that the image is for; `None` on an ordinary machine.
    pub confidential: Option<ConfidentialGuest>,
    /// Whether the elfcorehdr is digested. It is not if the kernel keeps it up to date.
    pub digests_elfcorehdr: bool,
}

impl ForeignSettings {
    /// Decides the configuration. Settings that were not requested stay at the purgatory's
    /// defaults. Requested settings that `contract` does not support are errors.
    pub(crate) fn decide(
        contract: &'static Contract,
        request: &Request,
        machine: &Machine,
    ) -> Result<Self, Error> {
        let Request { on_corrupt, reset_delay_ms, engine, leaf_size, signals, .. } = *request;
        let asked = [
            on_corrupt.map(|action| ("on-corrupt", action.word().to_owned())),
            reset_delay_ms.map(|delay| ("reset-delay", (f64::from(delay) / 1000.0).to_string())),
            match engine {
                EngineChoice::Auto => None,
                EngineChoice::Only(engine) => Some(("engine", engine.word().to_owned())),
            },
            leaf_size.map(|size| ("leaf-size", size.to_string())),
            match signals {
                SignalChoice::Auto | SignalChoice::None => None,
                SignalChoice::Only { pvpanic: true, .. } => Some(("signal", "pvpanic".into())),
                SignalChoice::Only { ipmi: true, .. } => Some(("signal", "ipmi".into())),
                SignalChoice::Only { .. } => None,
            },
            match request.console {
                Console::Port(port) if !contract.prints() => {
                    Some(("console", format!("{port:#x}")))
                }
                _ => None,
            },
        ];
        if let Some((setting, value)) = asked.into_iter().flatten().next() {
            return Err(Error::Foreign { whose: contract.whose, setting, value });
        }
        let confidential = confidential(request, machine);
        let console =
            if contract.prints() { console(request, permissions(confidential))? } else { None };
        Ok(Self { console, confidential, digests_elfcorehdr: !request.hotplug })
    }
}

#[cfg(test)]
mod tests {
    use handoff::{EngineId, OnCorrupt};

    use super::*;
    use crate::machine::example::machine;
    use crate::purgatory::foreign::{KEXEC_TOOLS, LINUX};

    /// A request that every foreign purgatory supports.
    fn modest() -> Request {
        Request {
            on_corrupt: None,
            reset_delay_ms: None,
            leaf_size: None,
            engine: EngineChoice::Auto,
            command_line: "console=ttyS1".into(),
            ..crate::request::example()
        }
    }

    #[test]
    fn unsupported_settings_are_refused_by_name() {
        let asked = [
            (Request { on_corrupt: Some(OnCorrupt::Reset), ..modest() }, "on-corrupt", "reset"),
            (Request { on_corrupt: Some(OnCorrupt::Boot), ..modest() }, "on-corrupt", "boot"),
            (Request { reset_delay_ms: Some(2500), ..modest() }, "reset-delay", "2.5"),
            (Request { engine: EngineChoice::Only(EngineId::Soft), ..modest() }, "engine", "soft"),
            (Request { leaf_size: Some(4096), ..modest() }, "leaf-size", "4096"),
            (
                Request { signals: SignalChoice::Only { pvpanic: false, ipmi: true }, ..modest() },
                "signal",
                "ipmi",
            ),
        ];
        for contract in [&LINUX, &KEXEC_TOOLS] {
            for (request, setting, value) in &asked {
                let error = ForeignSettings::decide(contract, request, &machine()).unwrap_err();
                assert_eq!(
                    error,
                    Error::Foreign { whose: contract.whose, setting, value: (*value).into() }
                );
                let message = error.to_string();
                assert!(
                    message.contains(setting)
                        && message.contains(contract.whose)
                        && message.contains("use kdump-purgatory"),
                    "{message}"
                );
            }
        }
    }

    #[test]
    fn only_kexec_tools_purgatory_prints() {
        let console = |contract, console| {
            ForeignSettings::decide(contract, &Request { console, ..modest() }, &machine())
                .map(|settings| settings.console)
        };
        assert_eq!(console(&KEXEC_TOOLS, Console::Auto), Ok(Some(0x2f8)));
        assert_eq!(console(&KEXEC_TOOLS, Console::Port(0x3e8)), Ok(Some(0x3e8)));
        assert_eq!(console(&KEXEC_TOOLS, Console::Port(0)), Err(Error::ConsolePort(0)));
        assert_eq!(console(&KEXEC_TOOLS, Console::None), Ok(None));
        assert_eq!(console(&LINUX, Console::Auto), Ok(None));
        assert_eq!(console(&LINUX, Console::None), Ok(None));
        assert!(matches!(
            console(&LINUX, Console::Port(0x3f8)),
            Err(Error::Foreign { setting: "console", .. })
        ));
    }

    #[test]
    fn confidential_guest_gets_no_console() {
        let mut machine = machine();
        machine.cpu.confidential =
            Some(ConfidentialGuest { kind: "sev_es", evidence: "/proc/cpuinfo" });
        let settings = ForeignSettings::decide(&KEXEC_TOOLS, &modest(), &machine).unwrap();
        assert_eq!(settings.console, None);
    }

    #[test]
    fn elfcorehdr_is_digested_if_the_kernel_leaves_it_alone() {
        for hotplug in [true, false] {
            let request = Request { hotplug, ..modest() };
            let settings = ForeignSettings::decide(&LINUX, &request, &machine()).unwrap();
            assert_eq!(settings.digests_elfcorehdr, !hotplug);
        }
    }
}
