//! `kdump-loader kexec`, or `kexec`: does what [`crate::kexec`] has decided, with kexec-tools' exit statuses.

use std::env;
use std::ffi::OsString;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::arm::record::origin::Origin;
use crate::options::Options;
use loader::admit::preflight;
use loader::machine::{KexecPermission, KexecState, Machine, Reservation};
use loader::phys::PhysRange;
use loader::request::Request;
use loader::submit;

use super::load_file::Wanted;
use super::{
    Error, LIVE, OURSELVES, expect_format, fresh_seed, in_full, load, load_file, origin, print, request_for, say, unload,
};
use crate::kexec::decide::{Action, Decision, Load, decide};
use crate::kexec::elsewhere::{self, Called};
use crate::kexec::options::SystemCall;
use crate::kexec::{ELSEWHERE, NAME, PASSED_ON, PEER, words};

/// `-S`: one is armed. The other way round from every other program, as in kexec-tools.
const ARMED: u8 = 1;
/// Not understood, or refused before the kernel was asked.
const REFUSED_HERE: u8 = 1;
/// Refused by the kernel, or `-S` without an answer: -1 of kexec-tools.
const REFUSED_BY_KERNEL: u8 = 255;

/// Does what the words after the program's name mean.
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    let decision = match decide(arguments.iter().cloned()) {
        Ok(decision) => decision,
        Err(error) => {
            say(format_args!("{}", in_full(&error)));
            return ExitCode::from(REFUSED_HERE);
        }
    };
    match act(decision, arguments) {
        Ok(status) => status,
        Err(error) => {
            say(format_args!("{}", in_full(&error)));
            ExitCode::from(match error {
                Error::Refused { .. } | Error::FileRefused { .. } | Error::Armed(_) => REFUSED_BY_KERNEL,
                _ => REFUSED_HERE,
            })
        }
    }
}

fn act(decision: Decision, arguments: Vec<OsString>) -> Result<ExitCode, Error> {
    let root = Path::new(LIVE);
    for remark in decision.remarks {
        say(format_args!("{remark}"));
    }
    match decision.action {
        Action::Help => print(&words::help())?,
        Action::Version => print(&format!("kdump-loader {} in place of {PEER}\n", env!("CARGO_PKG_VERSION")))?,
        Action::PrintRegionSize => print(&format!("{}\n", region_size(root)?))?,
        Action::Status => {
            let armed = KexecState::crash_loaded(root).map_err(Error::Armed)?;
            return Ok(if armed { ExitCode::from(ARMED) } else { ExitCode::SUCCESS });
        }
        Action::Unload(SystemCall::Auto) => unload::run()?,
        Action::Unload(SystemCall::Load) => unload::with_load()?,
        Action::Unload(SystemCall::FileLoad) => unload::with_file_load()?,
        Action::Load(wanted) => arm(root, &wanted)?,
        Action::PassOn(because) => return Err(pass_on(&because, arguments)),
    }
    Ok(ExitCode::SUCCESS)
}

/// Bytes of the crash region that an image goes into.
fn region_size(root: &Path) -> Result<u64, Error> {
    let regions = Reservation::read(root)?.crash_regions;
    Ok(regions.last().map_or(0, |region| region.len()))
}

/// Arms with the system call that was asked for.
fn arm(root: &Path, wanted: &Load) -> Result<(), Error> {
    match wanted.call {
        SystemCall::Load => arm_ours(root, wanted),
        SystemCall::FileLoad => arm_kernels(root, wanted),
        SystemCall::Auto => {
            let Err(error) = arm_ours(root, wanted) else { return Ok(()) };
            if !load_file::might_do_instead(&error) {
                return Err(error);
            }
            say(format_args!("{}", in_full(&error)));
            say(format_args!("trying kexec_file_load, with the kernel's own purgatory"));
            arm_kernels(root, wanted)
        }
    }
}

/// With kexec_load(2) and our purgatory.
fn arm_ours(root: &Path, wanted: &Load) -> Result<(), Error> {
    preflight::privileged(root)?;
    // Asked before the machine is read, of which a locked-down kernel does not show everything.
    preflight::permitted(root, &KexecPermission::read(root)?)?;
    let machine = Machine::read(root, Some(submit::measure()))?;
    let (request, origin) = request(wanted, &machine)?;
    if wanted.debug {
        // Before anything is submitted, so that it can be seen what the kernel refused.
        let image = loader::build(&request, &machine)?;
        let _ = std::io::stderr().write_all(image.summary().to_string().as_bytes());
    }
    load::arm(root, machine, &request, origin, || false).map(drop)
}

/// With kexec_file_load(2) and the kernel's.
fn arm_kernels(root: &Path, wanted: &Load) -> Result<(), Error> {
    let options = options(wanted);
    load_file::arm(root, Wanted { format: wanted.format, ..Wanted::of(&options) }, origin(&options)).map(drop)
}

/// What of them an image is made from. kexec-tools has no words for the rest; whoever wants it otherwise calls `load`.
fn options(wanted: &Load) -> Options {
    let Load { kernel, initrd, append, reuse, noefi, console, .. } = wanted.clone();
    Options { initrd, append, reuse_cmdline: reuse, noefi, console, ..Options::new(kernel) }
}

fn request(wanted: &Load, machine: &Machine) -> Result<(Request, Origin), Error> {
    let Load { format, mem_min, mem_max, .. } = *wanted;
    let (request, origin) = request_for(&options(wanted), machine, fresh_seed())?;
    if let Some(format) = format {
        expect_format(&request.kernel, format)?;
    }
    // --mem-max names the last byte.
    let window = PhysRange::new(mem_min, mem_max.saturating_add(1)).ok_or(Error::NoWindow { mem_min, mem_max })?;
    Ok((Request { window: Some(window), ..request }, origin))
}

/// Becomes the kexec that does it, with the same words. Only returns if it cannot.
fn pass_on(because: &str, arguments: Vec<OsString>) -> Error {
    if env::var_os(PASSED_ON).is_some() {
        return Error::NotOurs(format!(
            "{because}, and the other kexec has called this program; name kexec-tools' with {ELSEWHERE}=FILE"
        ));
    }
    let named = env::var_os(ELSEWHERE).map(PathBuf::from);
    let Some(program) = named.or_else(|| Called::now(OURSELVES).find()) else { return Error::NotOurs(elsewhere::none(because)) };
    let source = Command::new(&program).arg0(NAME).args(arguments).env_remove(ELSEWHERE).env(PASSED_ON, "1").exec();
    Error::Elsewhere { program, source }
}
