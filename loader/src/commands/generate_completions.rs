//! `kdump-loader generate-completions`: what shells complete, from the definitions that clap reads words by. Used once, by whoever packages
//! the program.

use std::fs;
use std::path::Path;

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use super::Error;
use crate::cli::{Cli, GenerateCompletions};

/// Each shell, and the name under which it looks for the completions of `kdump-loader` in its own directory: bash-completion below
/// `bash-completion/completions/`, zsh below `site-functions/`, fish below `vendor_completions.d/`.
const SHELLS: [(Shell, &str); 3] =
    [(Shell::Bash, "bash/kdump-loader"), (Shell::Zsh, "zsh/_kdump-loader"), (Shell::Fish, "fish/kdump-loader.fish")];

/// Writes one file per shell, each in a directory of its own.
pub fn run(arguments: &GenerateCompletions) -> Result<(), Error> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Output { path, source }
    };
    let mut program = Cli::command();
    let name = program.get_name().to_owned();
    for (shell, file) in SHELLS {
        let path = arguments.dir.join(file);
        let directory = path.parent().expect("every shell has a directory");
        fs::create_dir_all(directory).map_err(failed(directory))?;
        let mut text = Vec::new();
        generate(shell, &mut program, &name, &mut text);
        fs::write(&path, text).map_err(failed(&path))?;
    }
    Ok(())
}
