//! Fuzz targets for every parser of unchecked input.
//!
//! A target is a module here. Its `check` runs the parser on any bytes and panics if the answer
//! breaks a rule, and its `seeds` are initial inputs. The expected answer is computed again from
//! the bytes alone, as naively as possible and in integers that cannot wrap, without the parser's
//! own code. `targets/` has libFuzzer's entry points, one for each module.

pub mod bytes; // little-endian integers out of a file
pub mod machine; // a valid block, request and machine
pub mod bzimage;
pub mod kernel_file;
pub mod purgatory_elf;
pub mod purgatory_object;
pub mod elfcorehdr;
pub mod handoff_block;
pub mod iomem;
pub mod vmcoreinfo;
pub mod kcore;
pub mod cpus;
pub mod printk_ring;
pub mod ring_resolution;
pub mod signals;
pub mod vmcore;
pub mod dump_file;

/// The parser's answer to an input, after `check` found it correct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The input was accepted.
    Taken,
    /// The input was rejected.
    Refused,
}

/// An initial input.
pub struct Seed {
    /// File name.
    pub name: &'static str,
    /// Content.
    pub bytes: Vec<u8>,
    /// The required answer. If a seed were no longer accepted, the target would have to guess a
    /// valid input.
    pub answer: Answer,
}

impl Seed {
    /// A seed that is accepted.
    pub fn taken(name: &'static str, bytes: impl Into<Vec<u8>>) -> Self {
        Self { name, bytes: bytes.into(), answer: Answer::Taken }
    }

    /// A seed that is rejected, but close to an accepted one.
    pub fn refused(name: &'static str, bytes: impl Into<Vec<u8>>) -> Self {
        Self { name, bytes: bytes.into(), answer: Answer::Refused }
    }
}

/// A target.
pub struct Target {
    /// Its name, also of its program and its corpus.
    pub name: &'static str,
    /// Panics if a rule is broken.
    pub check: fn(&[u8]) -> Answer,
    /// Initial inputs.
    pub seeds: fn() -> Vec<Seed>,
}

macro_rules! targets {
    ($($name:ident),+) => {
        &[$(Target { name: stringify!($name), check: $name::check, seeds: $name::seeds }),+]
    };
}

/// Every target.
pub const TARGETS: &[Target] = targets![
    bzimage,
    kernel_file,
    purgatory_elf,
    purgatory_object,
    elfcorehdr,
    handoff_block,
    iomem,
    vmcoreinfo,
    kcore,
    cpus,
    printk_ring,
    ring_resolution,
    signals,
    vmcore,
    dump_file
];

#[cfg(test)]
mod tests {
    // Tests are instrumented like the targets, and the instrumentation calls into libFuzzer.
    use libfuzzer_sys as _;

    use super::*;

    #[test]
    fn every_seed_has_its_required_answer_and_each_target_accepts_some() {
        for Target { name, check, seeds } in TARGETS {
            let seeds = seeds();
            assert!(seeds.iter().any(|seed| seed.answer == Answer::Taken), "{name}");
            for seed in seeds {
                assert_eq!(check(&seed.bytes), seed.answer, "{name}: {}", seed.name);
            }
        }
    }

    #[test]
    fn every_seed_survives_being_cut_anywhere() {
        for Target { check, seeds, .. } in TARGETS {
            for seed in seeds() {
                for len in (0..seed.bytes.len()).step_by(1 + seed.bytes.len() / 1000) {
                    check(&seed.bytes[..len]);
                }
            }
        }
    }
}
