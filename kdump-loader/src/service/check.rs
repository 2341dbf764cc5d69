//! Finds missing and changed files, and other services that arm.

use std::fmt;
use std::path::{Path, PathBuf};

use super::layout::{self, Content, Program};
use super::tree::{Found, Tree};
use super::{Conflict, Distribution, Error, conflicts};

/// The result for one file, unit or rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The file is as `install` would write it.
    Right(PathBuf),
    /// The file is missing.
    Missing(PathBuf),
    /// The file differs.
    Differs(PathBuf),
    /// The link that enables a unit is missing.
    NotEnabled(PathBuf),
    /// Another service or rule arms.
    Arms(Conflict),
}

impl Finding {
    /// Whether it is not a problem.
    pub fn is_right(&self) -> bool {
        matches!(self, Self::Right(_))
    }

    /// Its identifier in JSON.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Right(_) => "right",
            Self::Missing(_) => "missing",
            Self::Differs(_) => "differs",
            Self::NotEnabled(_) => "not_enabled",
            Self::Arms(_) => "conflict",
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        match self {
            Self::Right(path)
            | Self::Missing(path)
            | Self::Differs(path)
            | Self::NotEnabled(path) => path,
            Self::Arms(Conflict::Unit { path, .. } | Conflict::Rule { path, .. }) => path,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Right(path) => write!(out, "ok        {}", path.display()),
            Self::Missing(path) => write!(out, "missing   {}", path.display()),
            Self::Differs(path) => write!(out, "differs   {}", path.display()),
            Self::NotEnabled(path) => {
                write!(out, "disabled  {}: the link is missing", path.display())
            }
            Self::Arms(Conflict::Unit { path, name, whose }) => {
                write!(out, "conflict  {}: {name} ({whose}) also arms at boot", path.display())
            }
            Self::Arms(Conflict::Rule { path, arming, .. }) => {
                for (index, rule) in arming.iter().enumerate() {
                    let end = if index + 1 < arming.len() { "\n" } else { "" };
                    write!(
                        out,
                        "conflict  {}:{}: {}{end}",
                        path.display(),
                        rule.line,
                        rule.command
                    )?;
                }
                Ok(())
            }
        }
    }
}

/// Compares the machine at this root with the files that [`super::install`] would write.
pub fn check(
    root: &Path,
    program: Program<'_>,
    distribution: Option<Distribution>,
) -> Result<Vec<Finding>, Error> {
    let tree = Tree::new(root)?;
    let mut findings = Vec::new();
    for item in layout::of(&tree, program, distribution)? {
        let path = tree.path(&item.path);
        findings.push(match (tree.look(&item.path)?, &item.content) {
            (Found::Absent, Content::Link { .. }) => Finding::NotEnabled(path),
            (Found::Absent, Content::File { .. }) => Finding::Missing(path),
            (found, _) if item.is(&found) || item.keep_existing => Finding::Right(path),
            _ => Finding::Differs(path),
        });
    }
    findings.extend(conflicts::all(&tree)?.into_iter().map(Finding::Arms));
    Ok(findings)
}
