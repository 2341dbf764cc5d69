//! A simulated world: a machine that changes, a kernel that may reject an image, and the files
//! below /run.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;

use super::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Build,
    Advise,
    Lock,
    Changed,
    SetAside,
    Submit,
    Aftermath,
    Forget,
    Queue,
    Record,
}

/// An image: its number, and how many changes of the machine it describes. Image 0 was armed
/// before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) number: usize,
    pub(super) describes: usize,
}

/// The kernel and the files below /run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) armed: Option<Image>,
    pub(super) record: Option<Image>,
    pub(super) aside: Option<Image>,
    pub(super) queued: bool,
    pub(super) warnings: Vec<String>,
}

/// One call. A failed read of the machine is a refusal.
#[derive(Debug)]
pub(super) struct Moment {
    pub(super) call: Call,
    pub(super) refused: bool,
    pub(super) locked: bool,
    pub(super) before: State,
}

/// A simulated world. Each call has a number: changes arrive during some, and others are
/// refused.
#[derive(Debug)]
pub(super) struct Simulated {
    pub(super) changes: BTreeSet<usize>,
    pub(super) refusals: BTreeSet<usize>,
    /// Whether the kernel frees the armed image before it rejects another.
    pub(super) frees_first: bool,
    pub(super) built: usize,
    pub(super) state: State,
    pub(super) lock: Rc<Cell<bool>>,
    pub(super) moments: Vec<Moment>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("no room")]
    Build,
    #[error("busy")]
    Lock,
    #[error("rejected; {0}")]
    Refused(Aftermath),
}

pub(super) struct Held(Rc<Cell<bool>>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

impl Simulated {
    pub(super) fn new(
        changes: impl IntoIterator<Item = usize>,
        refusals: impl IntoIterator<Item = usize>,
    ) -> Self {
        let old = Some(Image { number: 0, describes: 0 });
        let state =
            State { armed: old, record: old, aside: None, queued: false, warnings: Vec::new() };
        Self {
            changes: changes.into_iter().collect(),
            refusals: refusals.into_iter().collect(),
            frees_first: false,
            built: 0,
            state,
            lock: Rc::default(),
            moments: Vec::new(),
        }
    }

    /// Begins a call. Returns whether it succeeds.
    fn begin(&mut self, call: Call) -> bool {
        let refused = self.refusals.contains(&self.moments.len());
        let (locked, before) = (self.lock.get(), self.state.clone());
        self.moments.push(Moment { call, refused, locked, before });
        !refused
    }

    /// Changes that arrived before call number `call`.
    pub(super) fn changes_before(&self, call: usize) -> usize {
        self.changes.range(..call).count()
    }

    pub(super) fn arm(&mut self) -> Result<Image, Failure> {
        arm(self, 0).map(|(_, image)| image)
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.moments.iter().map(|moment| moment.call).collect()
    }

    pub(super) fn count(&self, call: Call) -> usize {
        self.calls().iter().filter(|&&each| each == call).count()
    }

    pub(super) fn first(&self, call: Call) -> Option<usize> {
        self.moments.iter().position(|moment| moment.call == call)
    }

    /// Every state, the last one included.
    pub(super) fn states(&self) -> impl Iterator<Item = &State> {
        self.moments.iter().map(|moment| &moment.before).chain([&self.state])
    }
}

impl World for Simulated {
    type Machine = usize;
    type Image = Image;
    type Loaded = Image;
    type Lock = Held;
    type Refusal = &'static str;
    type Error = Failure;

    fn build(&mut self, &describes: &usize) -> Result<Image, Failure> {
        if !self.begin(Call::Build) {
            return Err(Failure::Build);
        }
        self.built += 1;
        Ok(Image { number: self.built, describes })
    }

    fn advise(&mut self, _: &Image, _: &usize) {
        self.begin(Call::Advise);
    }

    fn hold_lock(&mut self) -> Result<Held, Failure> {
        if !self.begin(Call::Lock) {
            return Err(Failure::Lock);
        }
        self.lock.set(true);
        Ok(Held(Rc::clone(&self.lock)))
    }

    fn changed(&mut self, described: &usize) -> Option<usize> {
        let read = self.begin(Call::Changed);
        let now = self.changes_before(self.moments.len() - 1);
        (read && now != *described).then_some(now)
    }

    fn set_aside(&mut self) {
        self.begin(Call::SetAside);
        self.state.aside = self.state.record.take();
    }

    fn submit(&mut self, image: Image) -> Result<Image, &'static str> {
        if self.begin(Call::Submit) {
            self.state.armed = Some(image);
            return Ok(image);
        }
        if self.frees_first {
            self.state.armed = None;
        }
        Err("rejected")
    }

    fn aftermath(&mut self) -> Aftermath {
        if !self.begin(Call::Aftermath) {
            return Aftermath::Unknown;
        }
        let aside = self.state.aside.take();
        if self.state.armed.is_none() {
            self.state.record = None;
            return Aftermath::Disarmed;
        }
        self.state.record = aside.or(self.state.record);
        Aftermath::StillArmed
    }

    fn refused(&self, _: &'static str, aftermath: Aftermath) -> Failure {
        Failure::Refused(aftermath)
    }

    fn forget(&mut self) {
        self.begin(Call::Forget);
        (self.state.record, self.state.aside) = (None, None);
    }

    fn queue_reload(&mut self) -> bool {
        self.state.queued = self.begin(Call::Queue);
        self.state.queued
    }

    fn record(&mut self, &image: &Image, &describes: &usize) -> bool {
        let written = self.begin(Call::Record);
        self.state.record = written.then_some(Image { describes, ..image });
        self.state.aside = None;
        true
    }

    fn note(&mut self, _: fmt::Arguments<'_>) {}

    fn warn(&mut self, message: fmt::Arguments<'_>) {
        self.state.warnings.push(message.to_string());
    }
}
