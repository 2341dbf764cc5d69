//! `kdump-loader kexec`, or `kexec`: does what [`crate::kexec`] decides, with kexec-tools' exit
//! statuses.

use std::env;
use std::ffi::OsString;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use loader::admit::preflight;
use loader::machine::{KexecPermission, KexecState, Machine, Reservation};
use loader::phys::PhysRange;
use loader::request::Request;
use loader::submit;

use super::{Error, LIVE, print};
use crate::arm;
use crate::arm::generation::next_generation;
use crate::arm::record::origin::Origin;
use crate::arm::request_for::{OURSELVES, expect_format, fresh_seed, request_for};
use crate::arm::{load, load_file, unload};
use crate::hint;
use crate::kexec::decide::{Action, Decision, Load, decide};
use crate::kexec::elsewhere::{self, Called};
use crate::kexec::options::SystemCall;
use crate::kexec::{ELSEWHERE, NAME, PASSED_ON, PEER, words};
use crate::messages::{in_full, note, report, warn};

/// `-S`: an image is armed. The status is inverted, as in kexec-tools.
const ARMED: u8 = 1;
/// A usage error, or a failure before the system call.
const FAILED_BEFORE_CALL: u8 = 1;
/// The kernel rejected the call, or `-S` found no answer: -1 of kexec-tools.
const REJECTED_BY_KERNEL: u8 = 255;

/// Runs the command line after the program's name.
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    let decision = match decide(arguments.iter().cloned()) {
        Ok(decision) => decision,
        Err(error) => {
            report(&error);
            return ExitCode::from(FAILED_BEFORE_CALL);
        }
    };
    match act(decision, arguments) {
        Ok(status) => status,
        Err(error) => {
            report(&error);
            hint::print(&error);
            ExitCode::from(match error {
                Error::Arm(
                    arm::Error::Refused { .. }
                    | arm::Error::FileRefused { .. }
                    | arm::Error::Armed(_),
                ) => REJECTED_BY_KERNEL,
                _ => FAILED_BEFORE_CALL,
            })
        }
    }
}

fn act(decision: Decision, arguments: Vec<OsString>) -> Result<ExitCode, Error> {
    let root = Path::new(LIVE);
    for remark in decision.remarks {
        warn(format_args!("{remark}"));
    }
    match decision.action {
        Action::Help => print(&words::help())?,
        Action::Version => {
            print(&format!("kdump-loader {} in place of {PEER}\n", env!("CARGO_PKG_VERSION")))?
        }
        Action::PrintRegionSize => print(&format!("{}\n", region_size(root)?))?,
        Action::Status => {
            let armed = KexecState::crash_loaded(root).map_err(arm::Error::Armed)?;
            return Ok(if armed { ExitCode::from(ARMED) } else { ExitCode::SUCCESS });
        }
        Action::Unload(SystemCall::Auto) => unload::unload(root)?,
        Action::Unload(SystemCall::Load) => unload::with_load(root)?,
        Action::Unload(SystemCall::FileLoad) => unload::with_file_load(root)?,
        Action::Load(wanted) => arm(root, &wanted)?,
        Action::PassOn(because) => return Err(pass_on(&because, arguments)),
    }
    Ok(ExitCode::SUCCESS)
}

/// Bytes of the crash region that images are loaded into.
fn region_size(root: &Path) -> Result<u64, Error> {
    let regions = Reservation::read(root)?.crash_regions;
    Ok(regions.last().map_or(0, |region| region.len()))
}

/// Arms with the requested system call.
fn arm(root: &Path, wanted: &Load) -> Result<(), Error> {
    match wanted.call {
        SystemCall::Load => arm_ours(root, wanted),
        SystemCall::FileLoad => arm_kernels(root, wanted),
        SystemCall::Auto => {
            let Err(error) = arm_ours(root, wanted) else { return Ok(()) };
            if !matches!(&error, Error::Arm(cause) if load_file::file_load_may_work(cause)) {
                return Err(error);
            }
            warn(format_args!("{}", in_full(&error)));
            note(format_args!("trying kexec_file_load, with the kernel's built-in purgatory"));
            arm_kernels(root, wanted)
        }
    }
}

/// Arms with kexec_load(2) and this project's purgatory.
fn arm_ours(root: &Path, wanted: &Load) -> Result<(), Error> {
    preflight::privileged(root)?;
    // Comes first: a locked-down kernel hides part of the machine, which would look like another
    // error.
    preflight::permitted(root, &KexecPermission::read(root)?)?;
    let machine = Machine::read(root, Some(submit::measure()))?;
    let (request, origin) = request(root, wanted, &machine)?;
    if wanted.debug {
        // Before the system call, so that the user sees what the kernel may reject.
        let image = loader::build(&request, &machine)?;
        let _ = std::io::stderr().write_all(image.summary().to_string().as_bytes());
    }
    load::arm(root, machine, &request, origin, || false)?;
    Ok(())
}

/// Arms with kexec_file_load(2) and the kernel's purgatory.
fn arm_kernels(root: &Path, wanted: &Load) -> Result<(), Error> {
    load_file::arm(root, &wanted.options, wanted.format)?;
    Ok(())
}

fn request(root: &Path, wanted: &Load, machine: &Machine) -> Result<(Request, Origin), Error> {
    let Load { format, mem_min, mem_max, .. } = *wanted;
    let (request, origin) =
        request_for(root, &wanted.options, machine, fresh_seed(), || next_generation(root))?;
    if let Some(format) = format {
        expect_format(&request.kernel, format)?;
    }
    // --mem-max names the last byte.
    let window = PhysRange::new(mem_min, mem_max.saturating_add(1))
        .ok_or(Error::NoWindow { mem_min, mem_max })?;
    Ok((Request { window: Some(window), ..request }, origin))
}

/// Replaces this process with the other kexec, with the same arguments. Returns only on failure.
fn pass_on(because: &str, arguments: Vec<OsString>) -> Error {
    if env::var_os(PASSED_ON).is_some() {
        return Error::NoOtherKexec(format!(
            "{because}, but the other kexec has called this program back; set {ELSEWHERE}=FILE to \
             the program of kexec-tools"
        ));
    }
    let named = env::var_os(ELSEWHERE).map(PathBuf::from);
    let Some(program) = named.or_else(|| Called::now(OURSELVES).find()) else {
        return Error::NoOtherKexec(elsewhere::none(because));
    };
    let source = Command::new(&program)
        .arg0(NAME)
        .args(arguments)
        .env_remove(ELSEWHERE)
        .env(PASSED_ON, "1")
        .exec();
    Error::Elsewhere { program, source }
}
