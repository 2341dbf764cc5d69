//! Facts of the kernel are missing, damaged or contradict each other: the dump is complete, and the
//! summary says why.

use vmcore_filter::{Level, Vmcoreinfo, can_filter};

use crate::kernel::{KINDS, Kernel};
use crate::{left_out, save};

#[test]
fn list_of_sections_without_the_kernels_own_is_not_believed() {
    let mut kernel = Kernel::new(KINDS[2]);
    kernel.free(512, 3);
    kernel.forget_section(0);
    let (summary, dump) = save(&kernel, Level::NoFreeOrZeroes);
    let reason = summary.unfiltered.unwrap().to_string();
    assert!(reason.contains("memory sections"), "{reason}");
    assert_eq!(left_out(&kernel, &dump), []);
}

/// Lines that not every kernel has.
const OPTIONAL: [&str; 2] = ["NUMBER(PG_hwpoison)", "NUMBER(PAGE_OFFLINE_MAPCOUNT_VALUE)"];

#[test]
fn lines_that_not_every_kernel_has_may_be_missing_but_not_damaged() {
    for name in OPTIONAL {
        for damage in ["missing", "x", "-5000000000"] {
            let mut kernel = Kernel::new(KINDS[0]);
            kernel.free(512, 3);
            let at = kernel.vmcoreinfo.find(name).unwrap();
            let rest = kernel.vmcoreinfo.split_off(at);
            if damage != "missing" {
                kernel.vmcoreinfo += &format!("{name}={damage}\n");
            }
            kernel.vmcoreinfo += rest.split_once('\n').unwrap().1;
            let (summary, _) = save(&kernel, Level::NoFreeOrZeroes);
            assert_eq!(summary.unfiltered.is_some(), damage != "missing", "{name}: {damage}");
        }
    }
}

/// Every line that free pages depend on.
#[test]
fn vmcoreinfo_without_a_line_or_with_a_damaged_one_leaves_a_complete_dump() {
    let whole = Kernel::new(KINDS[0]).vmcoreinfo;
    let needed = whole
        .lines()
        .filter(|line| line.contains('(') && !OPTIONAL.iter().any(|name| line.starts_with(name)));
    // The running kernel's own text tells as much, before there is a dump.
    let is_known = |text: &str| can_filter(&Vmcoreinfo::new(text.as_bytes())).is_ok();
    assert!(is_known(&whole));
    let mut tried = 0;
    for line in needed {
        let (key, value) = line.split_once('=').unwrap();
        let damaged = [String::new(), format!("{key}=\n"), format!("{key}=-{value}x\n")];
        for other in damaged.into_iter().chain([format!("{key}=999999999999\n")]) {
            let mut kernel = Kernel::new(KINDS[0]);
            kernel.free(512, 3);
            kernel.vmcoreinfo = whole.replace(&format!("{line}\n"), &other);
            let (summary, dump) = save(&kernel, Level::NoFreeOrZeroes);
            assert!(!is_known(&kernel.vmcoreinfo) || other.contains("=9"), "{other:?}");
            // A longer array of sections, or another field that reads 0, is believed.
            if other.contains("=9") && summary.unfiltered.is_none() {
                continue;
            }
            assert!(summary.unfiltered.is_some(), "{line:?} became {other:?}");
            assert_eq!(left_out(&kernel, &dump), [], "{other:?}");
            assert_eq!(dump.level(), 1, "the dump says what it has");
            tried += 1;
        }
    }
    assert!(tried >= 3 * 13, "{tried} damages were noticed");
}

#[test]
fn page_tables_that_lead_elsewhere_are_not_followed() {
    let mut kernel = Kernel::new(KINDS[0]);
    kernel.free(512, 3);
    kernel.vmcoreinfo = kernel.vmcoreinfo.replace("(phys_base)=0", "(phys_base)=4096");
    let (summary, dump) = save(&kernel, Level::NoFreeOrZeroes);
    let reason = summary.unfiltered.unwrap().to_string();
    assert!(reason.contains("page tables"), "{reason}");
    assert_eq!(left_out(&kernel, &dump), []);
}
