//! The report: what the purgatory passes to the capture kernel's user space, through /proc/cmdline.
//!
//! The loader ends the command line with [`PARAMETER`] and [`FIELD_LEN`] spaces. The purgatory
//! overwrites the spaces after verification. The kernel takes a parameter with a dot in its name
//! for a module's parameter. So it neither warns about it nor passes it to init
//! (`unknown_bootoption`, init/main.c).
//!
//! ```text
//! purgatory.report=ok,engine:sha-ni,us:7312,nmi:0,elfcorehdr:ok
//! purgatory.report=segment-corrupt,segment:initrd,engine:soft,us:180233,nmi:2,elfcorehdr:restored
//! ```

use core::fmt;

use crate::text::Text;
use crate::{EngineId, RegionKind, Verdict};

/// The text before the field on the command line.
pub const PARAMETER: &str = " purgatory.report=";

/// Width of the field in bytes: enough for the longest report.
pub const FIELD_LEN: usize = 128;

/// The outcome for the elfcorehdr.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elfcorehdr {
    /// It is well-formed, whether or not the kernel has rewritten it since loading.
    Ok,
    /// It was broken, and the load-time copy was restored.
    Restored,
    /// It was broken, and so was the load-time copy. Possible only with the policy `boot`.
    Broken,
}

impl Elfcorehdr {
    /// The word for it in the report.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Restored => "restored",
            Self::Broken => "broken",
        }
    }
}

/// The results of one run of the purgatory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// The verdict.
    pub verdict: Verdict,
    /// The first corrupt region, if there is one.
    pub segment: Option<RegionKind>,
    /// The engine that ran.
    pub engine: EngineId,
    /// Microseconds of the time-stamp counter from the purgatory's entry to this report.
    pub microseconds: u64,
    /// Non-maskable interrupts in that time.
    pub nmis: u32,
    /// The outcome for the elfcorehdr.
    pub elfcorehdr: Elfcorehdr,
}

impl Report {
    /// Writes the report into the command line's field, padded with spaces. Truncates what does not
    /// fit.
    pub fn fill(&self, field: &mut [u8; FIELD_LEN]) {
        field.fill(b' ');
        self.write(&mut Cursor { field, at: 0 });
    }

    /// Writes the report to `out`.
    pub fn write(&self, out: &mut impl Text) {
        let Self { verdict, segment, engine, microseconds, nmis, elfcorehdr } = self;
        out.text(verdict.word());
        if let Some(segment) = segment {
            out.text(",segment:").text(segment.name());
        }
        out.text(",engine:").text(engine.word()).text(",us:").decimal(*microseconds);
        out.text(",nmi:").decimal(u64::from(*nmis)).text(",elfcorehdr:").text(elfcorehdr.word());
    }
}

/// For the host: the purgatory itself writes without `core::fmt`.
impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut field = [0; FIELD_LEN];
        self.fill(&mut field);
        let text = core::str::from_utf8(&field).map_err(|_| fmt::Error)?;
        out.write_str(text.trim_end())
    }
}

/// Writes into a field of fixed width, and drops what does not fit.
struct Cursor<'a> {
    field: &'a mut [u8],
    at: usize,
}

impl Text for Cursor<'_> {
    fn byte(&mut self, byte: u8) {
        if let Some(place) = self.field.get_mut(self.at) {
            *place = byte;
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::String;

    #[test]
    fn longest_report_fits_the_field() {
        let longest_word =
            Verdict::ALL.iter().max_by_key(|verdict| verdict.word().len()).copied().unwrap();
        let longest_name =
            RegionKind::ALL.into_iter().max_by_key(|kind| kind.name().len()).unwrap();
        let report = Report {
            verdict: longest_word,
            segment: Some(longest_name),
            engine: EngineId::ShaNi,
            microseconds: u64::MAX,
            nmis: u32::MAX,
            elfcorehdr: Elfcorehdr::Restored,
        };
        let mut paper = String::new();
        report.write(&mut paper);
        assert!(paper.len() <= FIELD_LEN, "{} bytes", paper.len());
    }

    #[test]
    fn report_is_one_word_padded_with_spaces() {
        let report = Report {
            verdict: Verdict::SegmentCorrupt,
            segment: Some(RegionKind::Initrd),
            engine: EngineId::Soft,
            microseconds: 180_233,
            nmis: 2,
            elfcorehdr: Elfcorehdr::Restored,
        };
        let mut field = [0; FIELD_LEN];
        report.fill(&mut field);
        let text = core::str::from_utf8(&field).unwrap();
        assert_eq!(
            text.trim_end(),
            "segment-corrupt,segment:initrd,engine:soft,us:180233,nmi:2,elfcorehdr:restored"
        );
        assert!(!text.trim_end().contains(' '));
    }
}
