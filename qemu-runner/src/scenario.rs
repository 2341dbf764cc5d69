//! The table of scenarios, and how one is run.

use std::fmt;
use std::sync::LazyLock;
use std::time::Duration;

use crate::context::{self, Context};
use crate::error::Error;
use crate::evidence::outcome::Outcome;
use crate::machine::deadline::Deadline;
use crate::stage::Stage;
use crate::stage::need::{self, Need};

/// How long a run may take unless its scenario says otherwise. The longest takes a minute on two
/// idle cores and three times as long beside a build. The rest is for slower machines.
pub const LIMIT: Duration = Duration::from_secs(600);

/// A story about one crash.
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it shows, in one sentence.
    pub summary: &'static str,
    /// What must exist besides QEMU, busybox, the loader and the kernel of the open series.
    pub(crate) needs: &'static [Need],
    /// Why the gate leaves it to the laboratory; `None` if it is in the gate.
    pub lab: Option<Lab>,
    /// What happens.
    pub(crate) story: fn(&mut Stage<'_>) -> Result<(), Error>,
}

/// Why the gate leaves a scenario to the laboratory.
#[derive(Debug, Clone, Copy)]
pub enum Lab {
    /// The gate has this scenario of the same kind.
    Like(&'static str),
    /// The gate has this case on the bare-metal kernel.
    Case(&'static str),
    /// It shows nothing of the loader and the purgatory; what it is instead.
    NotOurs(&'static str),
}

impl fmt::Display for Lab {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Like(name) => write!(out, "the gate has {name}"),
            Self::Case(name) => write!(out, "the gate has the bare-metal case {name}"),
            Self::NotOurs(what) => out.write_str(what),
        }
    }
}

/// The table of a file of scenarios, as its function `all`. One row is a name, needs, what happens,
/// and what that shows:
///
/// ```text
/// "capture", [Makedumpfile], |stage| capture(stage, &Setup::default()),
///     "a panic reaches the capture kernel with a complete vmcore";
/// ```
///
/// A row is in the gate, unless it ends with `lab:` and a [`Lab`]. `cargo xtask qemu --all` runs
/// both sets, `--lab` the second.
macro_rules! table {
    ($(
        $name:literal, [$($need:expr),*], $story:expr, $summary:expr $(, lab: $lab:expr)?;
    )*) => {
        pub(in crate::scenarios) fn all() -> Vec<$crate::scenario::Scenario> {
            vec![$($crate::scenario::Scenario {
                name: $name,
                summary: $summary,
                needs: {
                    #[allow(unused_imports, reason = "some rows need nothing")]
                    use $crate::stage::need::Need::*;
                    &[$($need),*]
                },
                lab: {
                    #[allow(unused_imports, reason = "some files are all in the gate")]
                    use $crate::scenario::Lab::*;
                    None $(.or(Some($lab)))?
                },
                story: $story,
            }),*]
        }
    };
}
pub(crate) use table;

/// Every scenario, family by family.
pub fn scenarios() -> &'static [Scenario] {
    static ALL: LazyLock<Vec<Scenario>> = LazyLock::new(crate::scenarios::all);
    &ALL
}

impl Scenario {
    /// Why it does not fit the kernel under test, as far as its file tells; `None` if it fits, or
    /// if there is no such kernel.
    pub fn unfit(&self, context: &Context) -> Option<String> {
        let kernel = context.under_test()?;
        self.needs
            .iter()
            .find_map(|need| need.unfit(context, kernel))
            .or_else(|| need::lacks(kernel, need::OF_EVERY_KERNEL.symbols))
    }

    /// Why it cannot be run here; `None` when it can.
    pub fn missing(&self, context: &Context) -> Option<String> {
        let open = self.needs.iter().all(|need| !matches!(need, Need::Kernel(_)));
        let kernel = if open { context.kernel(context.series()).map(drop) } else { Ok(()) };
        let built = [
            context.built(context::LOADER).map(drop),
            context.built(context::SENTINEL).map(drop),
            context.busybox().map(drop),
            kernel,
        ];
        let needs = self.needs.iter().map(|need| need.provided(context));
        built.into_iter().chain(needs).find_map(Result::err).map(|error| error.to_string())
    }

    /// Whether it may be left out where something that it needs cannot be had: the newest kernel,
    /// whose archive keeps no old versions, a part that only the laboratory fetches, or the disk
    /// with a Debian, which takes root to be made. Any other scenario fails there.
    pub fn may_be_skipped(&self) -> bool {
        self.needs.contains(&Need::Kernel("7"))
            || self.needs_debian_disk()
            || self.laboratory_parts().next().is_some()
    }

    /// The parts of `cargo xtask setup` that it needs and that only the laboratory fetches.
    pub fn laboratory_parts(&self) -> impl Iterator<Item = &'static str> {
        self.needs.iter().filter_map(|need| need.laboratory_part())
    }

    /// Whether it plays on the disk with an installed Debian.
    pub fn needs_debian_disk(&self) -> bool {
        self.needs.contains(&Need::DebianDisk)
    }

    /// Runs it.
    pub fn run(&self, context: &Context) -> Result<Outcome, Error> {
        let (limit, story) = (Deadline::after(LIMIT), self.story);
        Stage::play(context, self.name, limit, self.needs, story).map(|((), outcome)| outcome)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_can_be_typed() {
        let mut names = BTreeSet::new();
        for Scenario { name, summary, .. } in scenarios() {
            let typed =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            assert!(name.bytes().all(typed) && names.insert(name), "{name}");
            assert!(summary.len() > 10 && !summary.ends_with('.'), "{name}");
        }
    }

    #[test]
    fn gate_keeps_a_scenario_or_case_of_every_kind() {
        let in_gate = |name| scenarios().iter().any(|it| it.name == name && it.lab.is_none());
        let is_case = |name| crate::bare::cases().any(|case| case.name == name);
        for scenario in scenarios() {
            let has = match scenario.lab {
                Some(Lab::Like(kept)) => in_gate(kept),
                Some(Lab::Case(kept)) => is_case(kept),
                Some(Lab::NotOurs(_)) | None => true,
            };
            assert!(has, "{}: the gate does not have {:?}", scenario.name, scenario.lab);
        }
    }
}
