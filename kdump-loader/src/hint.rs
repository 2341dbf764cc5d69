//! Which option follows the advice of an error. The library's errors name no options, because the
//! library is not for this program alone.

use loader::kernel::{self, Defect};
use loader::purgatory::{foreign, settings};
use loader::submit::{self, file};

use crate::arm;
use crate::arm::load_file::file_load_may_work;
use crate::commands::Error;
use crate::messages::note;

const FILE_LOAD: &str = "`load --file` uses kexec_file_load, as `kexec -s` does";
const LOAD: &str = "`load` without --file uses kexec_load, as `kexec -c` does";
const OWN_PURGATORY: &str = "the embedded kdump-purgatory is used without --purgatory";
const PLAN: &str = "`kdump-loader plan` with the same options prints the image's segments";

/// Prints the option or command for what `error` advises, if there is one.
pub fn print(error: &Error) {
    if let Some(hint) = of(error) {
        note(format_args!("{hint}"));
    }
}

/// The option or command for what `error` advises, in words.
fn of(error: &Error) -> Option<String> {
    match error {
        Error::Arm(error) => of_arming(error),
        Error::Reload { source, .. } => of(source),
        _ => None,
    }
}

fn of_arming(error: &arm::Error) -> Option<String> {
    match error {
        arm::Error::Build(error) => of_build(error),
        arm::Error::FileRefused {
            refusal: file::Error::NotImplemented | file::Error::Format,
            ..
        } => Some(LOAD.into()),
        arm::Error::Refused {
            refusal: submit::Error::Invalid { .. } | submit::Error::Fault,
            ..
        } => Some(PLAN.into()),
        error => file_load_may_work(error).then(|| FILE_LOAD.into()),
    }
}

fn of_build(error: &loader::Error) -> Option<String> {
    match error {
        loader::Error::Settings(settings::Error::Foreign { setting, .. }) => {
            Some(format!("leave --{setting} out, or leave --purgatory out to use kdump-purgatory"))
        }
        loader::Error::Purgatory(loader::purgatory::Error::Object(
            foreign::Error::TooManyRegions { .. },
        )) => Some(OWN_PURGATORY.into()),
        loader::Error::Kernel(kernel::Error { defect: Defect::NotForKernel, .. }) => {
            Some(LOAD.into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use loader::admit::preflight;

    use super::*;
    use crate::arm::{Aftermath, Hint};
    use crate::messages::in_full;

    fn refused(refusal: submit::Error) -> arm::Error {
        arm::Error::Refused { refusal, hint: Hint::NONE, aftermath: Aftermath::StillArmed }
    }

    fn file_refused(refusal: file::Error) -> arm::Error {
        arm::Error::FileRefused { refusal, hint: Hint::NONE, aftermath: Aftermath::StillArmed }
    }

    #[test]
    fn error_that_advises_the_other_system_call_gets_its_option() {
        let locked_down = preflight::Error::LockedDown { mode: "integrity".into() };
        for error in [
            refused(submit::Error::NotPermitted),
            refused(submit::Error::Forbidden),
            refused(submit::Error::NotImplemented),
            locked_down.into(),
        ] {
            let message = in_full(&error);
            assert!(message.contains("kexec_file_load"), "{message}");
            assert_eq!(of_arming(&error).as_deref(), Some(FILE_LOAD), "{message}");
        }
        let not_for_kernel = kernel::Error { path: "vmlinux".into(), defect: Defect::NotForKernel };
        for error in [
            file_refused(file::Error::NotImplemented),
            file_refused(file::Error::Format),
            arm::Error::Build(not_for_kernel.into()),
        ] {
            let message = in_full(&error);
            assert!(message.contains("use kexec_load"), "{message}");
            assert_eq!(of_arming(&error).as_deref(), Some(LOAD), "{message}");
        }
        assert_eq!(of_arming(&refused(submit::Error::NoMemory)), None);
    }
}
