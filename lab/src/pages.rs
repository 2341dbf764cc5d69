//! `cargo lab pages`: the pictures and pages that people look at, checked in a browser, in light
//! and dark, on a desk and on a phone.
//!
//! ```text
//! subjects.rs   what is checked: pages of a real run, pictures, and what no run should ever leave
//! look.rs       one subject in a browser without windows; a screenshot of it
//! measure.js    how the document is asked for what it shows
//! checks.rs     what must hold
//! ```
//!
//! *On exit*: every subject passed, and every broken subject failed for the right reason. The
//! screenshots are under target/page/.

mod checks;
mod look;
mod subjects;

use anyhow::{Result, ensure};

use crate::repository::{Repository, explain};
use look::{Browser, View};
use subjects::Subject;

/// Check pages and pictures in a browser, which is brought if it is missing (100 MB)
#[derive(clap::Args)]
pub struct Args {
    /// Only subjects whose name contains this
    #[arg(default_value = "")]
    filter: String,
}

impl Args {
    pub fn run(&self, repo: &Repository) -> Result<()> {
        repo.xtask(&["setup", "--only", "browser"])?;
        let context = repo.context()?;
        let left = repo.root.join("target/page");
        std::fs::create_dir_all(&left)?;
        let browser = Browser { browser: context.browser().map_err(explain)?, left };
        let mut failed = 0;
        let mut check = |name: &str, test: &dyn Fn() -> Result<Vec<String>>| -> Result<()> {
            if !name.contains(&self.filter) {
                return Ok(());
            }
            let faults = test()?;
            failed += usize::from(!faults.is_empty());
            println!(
                "{name}: {}",
                if faults.is_empty() { "ok".into() } else { faults.join("\n  ") }
            );
            Ok(())
        };
        for subject in subjects::all(repo)? {
            check(&subject.name, &|| passes(&browser, &subject))?;
        }
        for (subject, reason) in subjects::broken()? {
            check(&subject.name, &|| is_noticed(&browser, &subject, reason))?;
        }
        ensure!(failed == 0, "{failed} subjects failed; screenshots are in target/page/");
        Ok(())
    }
}

/// A subject passes in every view, and its ground differs between light and dark.
fn passes(browser: &Browser<'_>, subject: &Subject) -> Result<Vec<String>> {
    let (mut faults, mut grounds) = (Vec::new(), Vec::new());
    for view in View::ALL {
        let seen = browser.look(subject, view)?;
        // A picture alone has one size: a phone scales it or scrolls.
        let is_phone_picture = view.is_phone() && subject.is_picture;
        if !is_phone_picture {
            faults
                .extend(checks::faults(&seen).into_iter().map(|fault| format!("{view}: {fault}")));
        }
        grounds.push(seen.ground);
    }
    if grounds[0] == grounds[1] {
        faults.push(format!("light and dark have the same ground, {}", grounds[0]));
    }
    Ok(faults)
}

/// A subject with one fault must not pass, for this reason: otherwise the check checks nothing.
fn is_noticed(browser: &Browser<'_>, subject: &Subject, reason: &str) -> Result<Vec<String>> {
    let faults = checks::faults(&browser.look(subject, View::ALL[0])?);
    let is_noticed = faults.iter().any(|fault| fault.contains(reason));
    Ok(if is_noticed { vec![] } else { vec![format!("expected {reason:?}, found {faults:?}")] })
}
