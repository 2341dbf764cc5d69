//! What is shown of every parser that reads what nobody has checked before, for inputs that nobody has thought of.
//!
//! A target is a module here: `check` gives a parser any bytes and panics if its answer breaks a rule, `seeds` are inputs to
//! start from. What the answer must be is worked out again here, from the bytes alone, as naively as possible and in integers
//! that cannot wrap; of the parser's own code nothing is used. `targets/` holds libFuzzer's entry points, one a module.

pub mod bytes; // little-endian integers out of a file
pub mod machine; // a block, a request and a machine that are right
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
pub mod config;

/// What a parser made of an input, once `check` has found nothing wrong with that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was taken.
    Taken,
    /// It was refused.
    Refused,
}

/// An input to start from.
pub struct Seed {
    /// File name.
    pub name: &'static str,
    /// Content.
    pub bytes: Vec<u8>,
    /// What the parser must make of it: a seed that is no longer taken would leave the target to guess its way in.
    pub answer: Answer,
}

impl Seed {
    /// One that is taken.
    pub fn taken(name: &'static str, bytes: impl Into<Vec<u8>>) -> Self {
        Self { name, bytes: bytes.into(), answer: Answer::Taken }
    }

    /// One that is refused, but near what is taken.
    pub fn refused(name: &'static str, bytes: impl Into<Vec<u8>>) -> Self {
        Self { name, bytes: bytes.into(), answer: Answer::Refused }
    }
}

/// A target.
pub struct Target {
    /// Its name, which is its program's and its corpus's.
    pub name: &'static str,
    /// Panics if a rule is broken.
    pub check: fn(&[u8]) -> Answer,
    /// Inputs to start from.
    pub seeds: fn() -> Vec<Seed>,
}

macro_rules! targets {
    ($($name:ident),+) => { &[$(Target { name: stringify!($name), check: $name::check, seeds: $name::seeds }),+] };
}

/// All of them.
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
    config
];

#[cfg(test)]
mod tests {
    // Tests are instrumented like the targets; what the instrumentation calls is in libFuzzer.
    use libfuzzer_sys as _;

    use super::*;

    #[test]
    fn every_seed_is_answered_as_it_says_and_some_of_each_target_are_taken() {
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
