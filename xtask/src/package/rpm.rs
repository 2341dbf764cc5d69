//! The RPM, written without rpmbuild.
//!
//! It has no config. Fedora and openSUSE need different ones, and `kdump-loader service install`
//! writes the right one.

use std::path::Path;

use anyhow::{Context, Result};
use rpm::{BuildConfig, CompressionType, Dependency, FileOptions, PackageBuilder, Scriptlet};
use xshell::Shell;

use super::contents::{self, CONFIG, DOCUMENTATION, Entry, Kind, SOURCE};
use super::{MAINTAINER, source_date_epoch};
use crate::repository::{Repository, read};

/// The first package of this version.
pub const RELEASE: &str = "1";
const SUMMARY: &str = "Arm a capture kernel for dumps after a kernel panic";
const DESCRIPTION: &str = "\
kdump-loader loads a capture kernel that takes over when the running kernel
panics. Before it starts, a small program verifies every segment of it,
reports what is corrupt, and restores a broken list of memory to dump. A
service loads it at boot and keeps it up to date when CPUs or memory come or
go.

Installing the package changes nothing about what is armed. The command
\"kdump-loader service install --mask-conflicts\" switches the machine over, and
\"kdump-loader service uninstall\" switches it back.";
/// Scriptlets, as rpm calls them (rpm-scriptlets(7)).
pub const SCRIPTS: [(&str, &str); 3] = [
    ("post", include_str!("rpm/post.sh")),
    ("preun", include_str!("rpm/preun.sh")),
    ("postun", include_str!("rpm/postun.sh")),
];
const SHELL: &str = "/bin/sh";
/// The directory of zsh's completions.
const ZSH: &str = "usr/share/zsh/site-functions";
const LICENSES: &str = "usr/share/licenses/kdump-loader";
/// In place of the name of the building machine.
const BUILD_HOST: &str = "localhost";

pub fn build(sh: &Shell, repo: &Repository, version: &str, package: &Path) -> Result<()> {
    let mut files = contents::of(sh, repo, ZSH)?;
    let sample = read(&repo.root.join(SOURCE).join(CONFIG))?;
    files.push(Entry::new(format!("{DOCUMENTATION}/{CONFIG}"), sample, Kind::Documentation));
    for name in ["LICENSE-MIT", "LICENSE-APACHE"] {
        files.push(Entry::new(
            format!("{LICENSES}/{name}"),
            read(&repo.root.join(name))?,
            Kind::License,
        ));
    }

    let epoch = source_date_epoch()?;
    let config = BuildConfig::v4().compression(CompressionType::Gzip).source_date(epoch);
    let script = |name: &str| {
        let text = SCRIPTS.iter().find(|(known, _)| *known == name).expect("it is in the table").1;
        Scriptlet::new(text).prog(vec![SHELL])
    };
    let mut builder =
        PackageBuilder::new("kdump-loader", version, "MIT OR Apache-2.0", "x86_64", SUMMARY);
    builder
        .using_config(config)
        .release(RELEASE)
        .description(DESCRIPTION)
        .packager(MAINTAINER)
        .group("System Environment/Kernel")
        .build_host(BUILD_HOST)
        .add_changelog_entry(
            format!("{MAINTAINER} - {version}-{RELEASE}"),
            format!("- Release {version}."),
            epoch,
        )
        .recommends(Dependency::any("makedumpfile"))
        .requires(Dependency::script_post(SHELL))
        .requires(Dependency::script_preun(SHELL))
        .requires(Dependency::script_postun(SHELL))
        .post_install_script(script("post"))
        .pre_uninstall_script(script("preun"))
        .post_uninstall_script(script("postun"));
    for directory in [DOCUMENTATION, LICENSES] {
        builder.with_dir_entry(FileOptions::dir(format!("/{directory}")).permissions(0o755))?;
    }
    for Entry { place, bytes, mode, kind } in files {
        let options = FileOptions::new(format!("/{place}"))
            .permissions(u16::try_from(mode).context("permissions fit")?);
        let options = match kind {
            Kind::Plain => options,
            Kind::Config => options.config().noreplace(),
            Kind::Documentation => options.doc(),
            Kind::License => options.license(),
        };
        builder.with_file_contents(bytes, options)?;
    }
    let built = builder.build().context("cannot build the RPM")?;
    built.write_file(package).with_context(|| format!("cannot write {}", package.display()))
}
