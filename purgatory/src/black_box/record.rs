//! `[4b]` What the record says at each step.

use handoff::black_box::{CorruptPlace, LogState, Record, RecordedException, Stage};
use handoff::report::Elfcorehdr;
use handoff::{Block, EngineId, PhysSpan, Verdict};

use crate::verify::{Difference, Place};

/// The record of a run whose seal holds, `microseconds` after its entry.
pub fn entered(record: &mut Record, block: &Block, engine: EngineId, microseconds: u64) {
    *record = Record::blank();
    record.generation = block.black_box.generation;
    record.image = block.seal;
    record.stage = (Stage::Entered as u32).into();
    record.engine = (engine as u32).into();
    record.entered_us = microseconds.into();
}

/// The kernel log was copied, or could not be.
pub fn log_copied(record: &mut Record, state: LogState, microseconds: u64) {
    record.log = (state as u32).into();
    record.log_copied_us = microseconds.into();
}

/// A place differs. It counts, and is named if there is room.
pub fn differs(record: &mut Record, place: &Place, difference: &Difference) {
    let count = record.corrupt_places.get();
    record.corrupt_places = count.saturating_add(1).into();
    if let Some(room) = record.places.get_mut(count as usize) {
        *room = CorruptPlace {
            span: PhysSpan::new(place.start, place.end - place.start),
            region: (place.kind as u32).into(),
            zero_tail: u32::from(matches!(difference, Difference::NotZero)).into(),
        };
    }
}

/// Every segment was verified.
pub fn verified(record: &mut Record, verdict: Verdict, microseconds: u64) {
    record.stage = (Stage::Verified as u32).into();
    record.verdict = (verdict as u32).into();
    record.verified_us = microseconds.into();
}

/// The elfcorehdr was checked.
pub fn elfcorehdr(record: &mut Record, outcome: Elfcorehdr) {
    record.elfcorehdr = (1 + outcome as u32).into();
}

/// An exception was raised.
pub fn raised(record: &mut Record, exception: RecordedException) {
    record.exception = exception;
}

/// The run ends: the capture kernel is entered, or the image is refused with `verdict`.
pub fn ended(record: &mut Record, refused: Option<Verdict>, microseconds: u64) {
    let stage = if refused.is_some() { Stage::Refused } else { Stage::Jumped };
    record.stage = (stage as u32).into();
    if let Some(verdict) = refused {
        record.verdict = (verdict as u32).into();
    }
    record.ended_us = microseconds.into();
}

/// The record as it is left in memory, with its CRC.
pub fn closed(record: &mut Record, nmis: u32) -> &Record {
    record.nmis = nmis.into();
    record.close();
    record
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::received::tests::good_block;
    use handoff::RegionKind;
    use handoff::black_box::RECORDED_PLACES;
    use zerocopy::{FromZeros, IntoBytes};

    /// What the next boot reads of it.
    fn left(record: &mut Record, nmis: u32) -> Record {
        Record::read(closed(record, nmis).as_bytes()).expect("a record with its CRC")
    }

    fn fresh() -> Record {
        let mut block = good_block();
        block.seal = [0x5a; 32];
        // What a stray write left there.
        let mut record = Record::new_zeroed();
        record.as_mut_bytes().fill(0xa5);
        entered(&mut record, &block, EngineId::ShaNi, 12);
        record
    }

    #[test]
    fn each_stage_replaces_the_one_before_and_keeps_its_time() {
        let mut record = fresh();
        let seen = left(&mut record, 0);
        assert_eq!(Stage::from_wire(seen.stage.get()), Some(Stage::Entered));
        assert_eq!(seen.generation, good_block().black_box.generation);
        assert_eq!((seen.image, seen.engine.get()), ([0x5a; 32], EngineId::ShaNi as u32));
        assert_eq!((seen.verdict.get(), seen.verified_us.get(), seen.ended_us.get()), (0, 0, 0));
        assert_eq!(LogState::from_wire(seen.log.get()), Some(LogState::Absent));

        log_copied(&mut record, LogState::Copied, 90);
        verified(&mut record, Verdict::Ok, 7000);
        let seen = left(&mut record, 1);
        assert_eq!(Stage::from_wire(seen.stage.get()), Some(Stage::Verified));
        assert_eq!(LogState::from_wire(seen.log.get()), Some(LogState::Copied));
        assert_eq!((seen.elfcorehdr.get(), seen.nmis.get()), (0, 1));

        elfcorehdr(&mut record, Elfcorehdr::Restored);
        ended(&mut record, None, 7100);
        let seen = left(&mut record, 2);
        assert_eq!(Stage::from_wire(seen.stage.get()), Some(Stage::Jumped));
        assert_eq!(seen.elfcorehdr.get(), 2);
        let times = [seen.entered_us, seen.log_copied_us, seen.verified_us, seen.ended_us];
        assert_eq!(times.map(|time| time.get()), [12, 90, 7000, 7100]);
        assert_eq!(seen.verdict.get(), Verdict::Ok as u32);
    }

    #[test]
    fn first_places_are_named_and_all_are_counted() {
        let mut record = fresh();
        let leaf = Difference::Leaf { expected: [0; 32], found: [1; 32] };
        for index in 0..RECORDED_PLACES as u64 + 3 {
            let start = 0x1000 * (index + 1);
            let place = Place { kind: RegionKind::Initrd, start, end: start + 0x1000 };
            let difference = if index == 1 { &Difference::NotZero } else { &leaf };
            differs(&mut record, &place, difference);
        }
        verified(&mut record, Verdict::SegmentCorrupt, 1);
        ended(&mut record, Some(Verdict::SegmentCorrupt), 2);
        let seen = left(&mut record, 0);
        assert_eq!(seen.corrupt_places.get() as usize, RECORDED_PLACES + 3);
        for (index, place) in seen.places.iter().enumerate() {
            assert_eq!(place.span, PhysSpan::new(0x1000 * (index as u64 + 1), 0x1000));
            assert_eq!(place.region.get(), RegionKind::Initrd as u32);
            assert_eq!(place.zero_tail.get(), u32::from(index == 1));
        }
        assert_eq!(Stage::from_wire(seen.stage.get()), Some(Stage::Refused));
        assert_eq!(seen.verdict.get(), Verdict::SegmentCorrupt as u32);
    }

    #[test]
    fn exception_before_verification_ends_the_record_with_its_place() {
        let mut record = fresh();
        let exception = RecordedException {
            raised: 1.into(),
            vector: 14.into(),
            error_code: 2.into(),
            rip: 0x1234.into(),
            address: 0xfee0_0000.into(),
        };
        raised(&mut record, exception);
        ended(&mut record, Some(Verdict::Exception), 33);
        let seen = left(&mut record, 0);
        assert_eq!(seen.exception, exception);
        assert_eq!((seen.verified_us.get(), seen.ended_us.get()), (0, 33));
        assert_eq!(seen.verdict.get(), Verdict::Exception as u32);
    }
}
