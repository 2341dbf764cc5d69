//! `cargo xtask peers`: the purgatories of kexec-tools and Linux, bound by our loader; and our
//! drop-ins, run in their places.
//!
//! * On entry: a network, unless setup has already fetched Debian's kernels and kexec-tools.
//! * On exit: `target/assets/peers/*.ro`, each bound at two addresses; or why one is missing.

use anyhow::{Result, anyhow};
use qemu_runner::peers::{Peer, SOURCES};
use qemu_runner::{Context, Error};
use xshell::{Shell, cmd};

use crate::build;
use crate::command;
use crate::repository::Repository;
use crate::setup;

/// Extract the purgatories of kexec-tools and Linux from Debian's packages, bind them, and run our
/// drop-ins
///
/// Fetches missing packages. The objects go to target/assets/peers/.
#[derive(clap::Args)]
pub struct Args {}

impl Args {
    pub fn run(&self, sh: &Shell, repo: &Repository) -> Result<()> {
        for (peer, said) in prove(sh, repo)? {
            println!("{}: {}, {said}", peer.name, peer.version);
            println!("  {}", peer.object.display());
        }
        build::purgatory(sh, repo)?;
        command::show(cmd!(sh, "cargo lab check --drop-ins"))
    }
}

/// Extracts and binds them. Returns each with the proof of its binding.
pub fn prove(sh: &Shell, repo: &Repository) -> Result<Vec<(Peer, String)>> {
    setup::peers(sh, repo)?;
    let context = Context::from_repo(&repo.root, None, false)?;
    let mut proven = Vec::new();
    for source in &SOURCES {
        let peer = match source.bring(&context) {
            // Setup has failed already if a required one is missing.
            Err(Error::Missing(reason)) => {
                eprintln!("{}: {reason}", source.name);
                continue;
            }
            other => other.map_err(explain)?,
        };
        let proof = peer.prove().map_err(explain)?;
        proven.push((peer, proof.to_string()));
    }
    Ok(proven)
}

fn explain(error: Error) -> anyhow::Error {
    anyhow!("{}", error.chain())
}
