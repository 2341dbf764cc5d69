//! `[5]` Verifies the regions, and stops if they are not as they were loaded.
//!
//! On exit: every byte of every region is what the host's loader digested.

use digest::Digest;
use handoff::block::HIGHEST_CONSOLE_PORT;
use handoff::text::Text;
use zerocopy::transmute;

use super::memory;
use super::regions::{Invalid, Region, Regions, Table};
use super::stop::{OnCorruptSetting, stop};
use super::written::Written;
use crate::arch::{self, UartPorts};
use crate::console::Console;
use crate::reading::{NO_LEAF, READING};

/// The UART at `port`, if there can be one.
pub fn uart(port: u16) -> Option<UartPorts> {
    (1..=HIGHEST_CONSOLE_PORT).contains(&port).then(|| UartPorts::at(port))
}

/// Returns if the digest of all regions is the expected one.
pub fn verify(
    console: &mut Console<UartPorts>,
    table: &Written<Table>,
    expected: &Written<[u64; 4]>,
    on_corrupt: &OnCorruptSetting,
) {
    let expected: Digest = transmute!(expected.words());
    let regions = match Regions::parse(&table.pairs(), &memory::itself()) {
        Ok(regions) => regions,
        Err(Invalid { index }) => {
            console
                .line()
                .text("region ")
                .decimal(index as u64)
                .text(" of the table is invalid: the table is corrupt");
            stop(console, on_corrupt)
        }
    };
    let engine = arch::probed_engine();
    let bytes: u64 = regions.iter().map(Region::size).sum();
    let mut line = console.line();
    line.text("I'm in purgatory, verifying ")
        .decimal(bytes)
        .text(" bytes in ")
        .decimal(regions.iter().count() as u64);
    line.text(" regions with ").text(engine.kind().name());
    drop(line);
    let read = |region: Region| {
        // A single stream reads one region after another.
        READING.clear();
        READING.begin(NO_LEAF, region.start()..region.start() + region.size());
        memory::bytes(region)
    };
    let verified = regions.verify(engine, &expected, read);
    READING.clear();
    if let Err(found) = verified {
        let mut line = console.line();
        line.text("sha256 digests do not match: expected ")
            .digits(&expected)
            .text(" found ")
            .digits(&found);
        drop(line);
        stop(console, on_corrupt)
    }
    console.line().text("ok: every region is as it was loaded");
}
