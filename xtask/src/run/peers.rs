//! `cargo xtask peers`: the purgatories of kexec-tools and of Linux, that our loader can bind them, and that ours verify in their places.
//!
//! On entry: a network, unless setup has brought Debian's kernels and kexec-tools before.
//! On exit: `target/assets/peers/*.ro`, each bound at two addresses, with what was seen; or why one is not there.

use anyhow::{Result, anyhow};
use qemu_runner::peers::{Peer, SOURCES};
use qemu_runner::{Context, Error};
use xshell::Shell;

use crate::build;
use crate::gate::lab;
use crate::repository::Repository;
use crate::setup;

/// Take the purgatories of kexec-tools and of Linux out of Debian's packages, bind them, and run ours as they are run
///
/// Brings the packages if they are missing. The objects lie in target/assets/peers/.
#[derive(clap::Args)]
pub struct Args {}

impl Args {
    /// Brings them all, and fails if one is not there or cannot be bound; only the newest kernel's may be missing.
    pub fn run(&self, sh: &Shell, repo: &Repository) -> Result<()> {
        for (peer, said) in prove(sh, repo)? {
            println!("{}: {}, {said}", peer.name, peer.version);
            println!("  {}", peer.object.display());
        }
        build::purgatory(sh, repo)?;
        print!("{}", lab::check(sh, repo, &["--drop-ins"])?);
        Ok(())
    }
}

/// Brings and binds them, and returns what was seen of each.
pub fn prove(sh: &Shell, repo: &Repository) -> Result<Vec<(Peer, String)>> {
    setup::peers(sh, repo)?;
    let context = Context::from_repo(&repo.root, None, false)?;
    let mut proven = Vec::new();
    for source in &SOURCES {
        let peer = match source.bring(&context) {
            // Setup has brought whatever may not be missing.
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
