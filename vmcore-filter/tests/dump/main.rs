//! Dumps of a made-up kernel, read back page by page.

mod kernel; // the kernel
mod filtered; // which pages are left out
mod unfiltered; // facts that are not believed, and the complete dump that follows
mod damaged; // dumps that end early, and impossible cores

use std::ops::ControlFlow;

use kernel::{Kernel, PAGE, PAGES};
use proptest::prelude::ProptestConfig;
use vmcore_filter::{DumpFile, Level, PageState, Summary, Vmcore, dump};

fn save(kernel: &Kernel, level: Level) -> (Summary, DumpFile) {
    let core = Vmcore::from_bytes(kernel.core()).unwrap();
    let mut output = Vec::new();
    let summary = dump(&core, level, &mut output, &mut |_| ControlFlow::Continue(())).unwrap();
    output.truncate(summary.bytes as usize);
    (summary, DumpFile::from_bytes(output).unwrap())
}

/// The pages that a dump left out; all others must be those of the kernel.
fn left_out(kernel: &Kernel, dump: &DumpFile) -> Vec<usize> {
    let (mut reader, mut left_out) = (dump.reader().unwrap(), Vec::new());
    for pfn in 0..PAGES {
        let mut page = [0; PAGE];
        match reader.page(pfn as u64, &mut page).unwrap() {
            PageState::Saved => assert!(page == kernel.page(pfn), "page {pfn} has other bytes"),
            PageState::LeftOut => left_out.push(pfn),
            state => panic!("page {pfn} is {state:?}"),
        }
    }
    left_out
}

/// How often a property is tried.
fn cases() -> ProptestConfig {
    ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() }
}
