//! Whether crash memory in CMA (`crashkernel=…,cma`) makes a difference for the dump.

use loader::machine::asked_cma;
use loader::phys::PhysRange;

use super::Advice;

/// Who makes the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Builder {
    /// This loader, for kexec_load(2).
    Loader,
    /// The kernel, in kexec_file_load(2). It knows its crash memory in CMA, even if it shows none.
    Kernel,
}

/// The warning about crash memory in CMA: what the running kernel's command line requests, and what
/// the kernel shows, if it does.
pub fn of_cma(
    command_line: &[u8],
    shown: Option<&[PhysRange]>,
    crash_regions: &[PhysRange],
    builder: Builder,
) -> Option<Advice> {
    let reserved = crash_regions.iter().map(|range| range.len()).sum();
    match shown {
        Some([]) => asked_cma(command_line).map(|asked| Advice::RefusedCma { asked, reserved }),
        Some(ranges) => Some(Advice::Cma { len: ranges.iter().map(|range| range.len()).sum() }),
        None if builder == Builder::Kernel => None,
        None => asked_cma(command_line).map(|asked| Advice::HiddenCma { asked, reserved }),
    }
}
