//! Whether the capture kernel's command line lets the saver start: the init that the kernel runs,
//! the unit that systemd boots, and the units that it masks. Parameters that wait for an operator
//! are in the table of the library (`running_only`), because no capture kernel should have them.

use loader::cmdline;

use super::super::capture::Capture;
use super::Service;
use crate::findings::{Code, Finding};

/// systemd's name for a boot without a unit on the command line.
const MULTI_USER: &str = "multi-user.target";
/// Words without a value that choose a unit (`runlevel_to_target`, systemd's
/// src/basic/proc-cmdline.c, and systemd(1)).
const TARGETS: [(&str, &str); 14] = [
    ("emergency", "emergency.target"),
    ("-b", "emergency.target"),
    ("rescue", "rescue.target"),
    ("single", "rescue.target"),
    ("-s", "rescue.target"),
    ("s", "rescue.target"),
    ("S", "rescue.target"),
    ("1", "rescue.target"),
    ("2", MULTI_USER),
    ("3", MULTI_USER),
    ("4", MULTI_USER),
    ("5", "graphical.target"),
    ("rd.emergency", "emergency.target"),
    ("rd.rescue", "rescue.target"),
];
/// Prefix of parameters and words for systemd in the initrd.
const IN_INITRD: &str = "rd.";
/// Targets that start the services that are enabled.
const USUAL: [&str; 3] = ["default.target", MULTI_USER, "graphical.target"];
/// Units that boot an initrd as usual.
const USUAL_IN_INITRD: [&str; 2] = ["default.target", "initrd.target"];
/// Targets with a shell.
const FOR_OPERATORS: [&str; 2] = ["emergency.target", "rescue.target"];
/// The init of an initrd.
const INIT: &str = "/init";
/// Paths of systemd, and of the link to it.
const SYSTEMD: [&str; 6] = [
    "/sbin/init",
    "/usr/sbin/init",
    "/lib/systemd/systemd",
    "/usr/lib/systemd/systemd",
    "/bin/systemd",
    "/usr/bin/systemd",
];
/// Programs that wait for commands.
const SHELLS: [&str; 6] = ["sh", "bash", "dash", "ash", "zsh", "busybox"];

/// The unit that systemd boots on the root file system, if it is not one of the usual targets. The
/// last word that chooses one counts.
pub(super) fn unit(line: &str) -> Option<String> {
    last_unit(line, "").filter(|unit| !USUAL.contains(&unit.as_str()))
}

fn last_unit(line: &str, prefix: &str) -> Option<String> {
    let parameter = format!("{prefix}systemd.unit");
    let chosen = |(name, value): (String, Option<String>)| match value {
        Some(unit) => (name == parameter).then_some(unit),
        None => {
            let (_, target) = TARGETS.iter().find(|(word, _)| *word == name)?;
            (name.starts_with(IN_INITRD) != prefix.is_empty()).then(|| (*target).to_owned())
        }
    };
    cmdline::every_word(line).into_iter().filter_map(chosen).next_back()
}

/// What keeps this saver from starting, if anything does.
pub(super) fn hindrance(
    capture: &Capture,
    service: Service,
    saver: &str,
    in_initrd: bool,
) -> Option<Finding> {
    let line = capture.command_line.as_str();
    // The author of an initrd of one's own knows its programs and units.
    let is_own = service == Service::Own;
    let remove = |what: &str| format!("remove {what} from the capture kernel's command line");
    let unknown = |what: String, who: &str, started: &str| {
        let message = format!(
            "{who} starts {started}, as the capture kernel's command line requests; whether that \
             saves a dump is unknown"
        );
        Some(Finding::new(Code::SaverUnknown, message).remedy(remove(&what)))
    };
    // The initrd of --capture has one program, and no systemd.
    let has_systemd = capture.initrd.is_some();
    if (has_systemd || capture.made.is_some())
        && let Some(program) = capture.parameter("rdinit")
        && (if is_own { is_shell(&program) } else { program != INIT })
    {
        return unknown(format!("rdinit={program}"), "the kernel", &program);
    }
    if has_systemd
        && let Some(unit) = last_unit(line, IN_INITRD)
        && (if is_own { FOR_OPERATORS } else { USUAL_IN_INITRD }).contains(&unit.as_str()) == is_own
    {
        let what = "rd.systemd.unit=, rd.emergency and rd.rescue".to_owned();
        return unknown(what, "systemd in the initrd", &unit);
    }
    if let Some(program) = capture.parameter("init")
        && !in_initrd
        && !SYSTEMD.contains(&program.as_str())
    {
        return unknown(format!("init={program}"), "the initrd or the kernel", &program);
    }
    if in_initrd && !has_systemd {
        return None;
    }
    // systemd-debug-generator(8)
    let mask = if in_initrd { "rd.systemd.mask" } else { "systemd.mask" };
    let masked = cmdline::values(line, mask);
    let masked = masked.iter().find(|unit| named(unit) == named(saver))?;
    let message =
        format!("{mask}={masked} on the capture kernel's command line keeps {saver} from starting");
    let remedy = remove(&format!("{mask}={masked}"));
    Some(Finding::new(Code::SaverMissing, message).remedy(remedy))
}

/// A unit's name with its type, which is a service's if it has none (systemctl(1)).
fn named(unit: &str) -> String {
    if unit.contains('.') { unit.to_owned() } else { format!("{unit}.service") }
}

fn is_shell(program: &str) -> bool {
    SHELLS.contains(&program.rsplit('/').next().unwrap_or_default())
}
