//! `kdump-loader generate-man`: the man pages, from the text of `--help`. Used once, by whoever packages the program.

use std::fs;
use std::path::Path;

use clap::CommandFactory;
use clap_mangen::Man;

use super::Error;
use crate::cli::{Cli, GenerateMan};

/// System administration.
const SECTION: &str = "8";

/// Writes kdump-loader.8, and one page per subcommand.
pub fn run(arguments: &GenerateMan) -> Result<(), Error> {
    let directory = &arguments.dir;
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Output { path, source }
    };
    fs::create_dir_all(directory).map_err(failed(directory))?;
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    let name = program.get_name().to_owned();
    let source = program.render_version();
    let subcommands = program.get_subcommands().filter(|subcommand| !subcommand.is_hide_set());
    let pages = subcommands.map(|subcommand| (format!("{name}-{}", subcommand.get_name()), subcommand.clone()));
    for (page, command) in pages.chain([(name.clone(), program.clone())]).collect::<Vec<_>>() {
        let path = directory.join(format!("{page}.{SECTION}"));
        let mut text = Vec::new();
        let man = Man::new(command.display_name(page)).section(SECTION).source(source.trim_end());
        man.render(&mut text).and_then(|()| fs::write(&path, text)).map_err(failed(&path))?;
    }
    Ok(())
}
