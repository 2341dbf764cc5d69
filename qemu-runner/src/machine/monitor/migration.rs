//! A machine written into a file, and read back by another QEMU: QEMU's migration, with the memory
//! left where it is, in a file of its own.

use std::path::Path;

use qapi::qmp::{
    self, Event, MigrationCapability, MigrationCapabilityStatus, MigrationStatus, RunState,
};

use super::Monitor;
use crate::error::{Error, check};

/// `events`: say when it is over. `x-ignore-shared`: leave memory out that is a file which others
/// may open (qapi/migration.json).
const CAPABILITIES: [MigrationCapability; 2] =
    [MigrationCapability::events, MigrationCapability::x_ignore_shared];

impl Monitor {
    /// Stops the guest and writes all that it is but its memory into the file `state`. It hangs
    /// until [`Self::go_on`].
    pub fn save(&mut self, state: &Path) -> Result<(), Error> {
        self.execute(qmp::stop {})?;
        self.agree()?;
        self.execute(qmp::migrate {
            uri: Some(uri(state)),
            channels: None,
            detach: None,
            resume: None,
        })?;
        self.await_migration()?;
        // The event comes a moment before the state in which the guest may continue.
        while self.execute(qmp::query_status {})?.status != RunState::postmigrate {}
        Ok(())
    }

    /// Becomes the guest of that file, whose memory must be in place; started with `-incoming
    /// defer`. It hangs until [`Self::go_on`].
    pub fn load(&mut self, state: &Path) -> Result<(), Error> {
        self.agree()?;
        self.execute(qmp::migrate_incoming {
            uri: Some(uri(state)),
            channels: None,
            exit_on_error: None,
        })?;
        self.await_migration()
    }

    /// Lets the guest run that stood still.
    pub fn go_on(&mut self) -> Result<(), Error> {
        self.execute(qmp::cont {}).map(drop)
    }

    fn agree(&mut self) -> Result<(), Error> {
        // An earlier one may have ended as well.
        self.seen.retain(|event| !matches!(event, Event::MIGRATION { .. }));
        let capabilities = CAPABILITIES
            .map(|capability| MigrationCapabilityStatus { capability, state: true })
            .into();
        self.execute(qmp::migrate_set_capabilities { capabilities }).map(drop)
    }

    fn await_migration(&mut self) -> Result<(), Error> {
        let status = self.await_event("the guest to be moved", |event| match event {
            Event::MIGRATION { data, .. } => ended(data.status),
            _ => None,
        })?;
        let moved = status == MigrationStatus::completed;
        check(moved, "how moving the guest ended", "completed", format_args!("{status:?}"))
    }
}

/// A status after which no other comes.
fn ended(status: MigrationStatus) -> Option<MigrationStatus> {
    matches!(
        status,
        MigrationStatus::completed | MigrationStatus::failed | MigrationStatus::cancelled
    )
    .then_some(status)
}

fn uri(state: &Path) -> String {
    format!("file:{}", state.display())
}
