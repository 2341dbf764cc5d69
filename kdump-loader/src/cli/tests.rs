//! The command line as clap has it.

use handoff::block::{DEFAULT_LEAF_SIZE, DEFAULT_RESET_DELAY_MS};
use loader::purgatory::settings::DEFAULT_ON_CORRUPT;

use super::*;

#[test]
fn options_are_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn help_has_the_defaults_of_the_loader() {
    let mut cli = Cli::command();
    let help = cli.find_subcommand_mut("load").unwrap().render_long_help().to_string();
    let defaults = [
        DEFAULT_ON_CORRUPT.word().to_owned(),
        (DEFAULT_RESET_DELAY_MS / 1000).to_string(),
        format!("{}K", DEFAULT_LEAF_SIZE >> 10),
    ];
    for (option, default) in
        ["--on-corrupt", "--reset-delay", "--leaf-size"].into_iter().zip(defaults)
    {
        let shown =
            help.split_once(&format!("{option} <")).unwrap().1.split("[default: ").nth(1).unwrap();
        assert!(shown.starts_with(&format!("{default}]")), "{option}: {shown}");
    }
}
