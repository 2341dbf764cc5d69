//! A machine written into a file, and read back by another QEMU: QEMU's migration, with the memory
//! left where it is, in a file of its own.

use std::path::Path;

use serde_json::json;

use super::Monitor;
use crate::error::{Error, check_eq};

impl Monitor {
    /// Stops the guest and writes all that it is but its memory into the file `state`. It hangs
    /// until [`Self::go_on`].
    pub fn save(&mut self, state: &Path) -> Result<(), Error> {
        self.stop()?;
        self.migrate("migrate", state)?;
        // The event comes a moment before the state in which the guest may continue.
        while self.execute("query-status", json!({}))?["status"] != "postmigrate" {}
        Ok(())
    }

    /// Becomes the guest of that file, whose memory must be in place; started with `-incoming
    /// defer`. It hangs until [`Self::go_on`].
    pub fn load(&mut self, state: &Path) -> Result<(), Error> {
        self.migrate("migrate-incoming", state)
    }

    /// Lets the guest run that stood still.
    pub fn go_on(&mut self) -> Result<(), Error> {
        self.execute("cont", json!({})).map(drop)
    }

    fn migrate(&mut self, command: &str, state: &Path) -> Result<(), Error> {
        // An earlier one may have ended as well.
        self.forget("MIGRATION");
        // `events`: say when it is over. `x-ignore-shared`: leave memory out that is a file which
        // others may open (qapi/migration.json).
        let on = |capability: &str| json!({"capability": capability, "state": true});
        let capabilities = json!({"capabilities": [on("events"), on("x-ignore-shared")]});
        self.execute("migrate-set-capabilities", capabilities)?;
        self.execute(command, json!({"uri": format!("file:{}", state.display())}))?;
        let ended = self.await_event("the guest to be moved", |event| {
            let status = event["data"]["status"].as_str()?;
            let is_end = matches!(status, "completed" | "failed" | "cancelled");
            (event["event"] == "MIGRATION" && is_end).then(|| status.to_owned())
        })?;
        check_eq!(ended, "completed", "how moving the guest ended")
    }
}
