//! `[2b]` The settings of the replaced service: those that the new config takes over, and a remark
//! about each other one.
//!
//! *On entry* /etc/default/kdump-tools or /etc/sysconfig/kdump. *On exit* keys of the config,
//! kernel settings, and one remark for every setting that differs from its default.

use std::fmt;
use std::path::PathBuf;

use super::Error;
use super::distribution::Distribution;
use super::shell::{self, Statement, What};
use super::tree::Tree;

mod services; // the settings of each service, by name

/// The settings that are taken over, and remarks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Keys of the config and their values in TOML.
    pub keys: Vec<(&'static str, String)>,
    /// Kernel settings, `key=value`, if they differ from the default.
    pub sysctl: Option<Vec<String>>,
    /// A remark for each setting.
    pub fates: Vec<Fate>,
}

/// Whether one setting was taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fate {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The setting; `None` if the line is not an assignment.
    pub name: Option<String>,
    /// The key that it became, or why it was not taken over.
    pub became: Result<&'static str, String>,
}

impl Settings {
    /// The same if a config already exists: it stays unchanged, and only kernel settings are taken
    /// over.
    pub fn with_existing_config(mut self) -> Self {
        self.keys.clear();
        for Fate { became, .. } in &mut self.fates {
            if let Ok(into) = *became
                && into != services::KERNEL
            {
                *became = Err(format!("the config already existed; set {into} in it yourself"));
            }
        }
        self
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, name, became } = self;
        let name = name.as_deref().unwrap_or("this line");
        match became {
            Ok(into) => write!(out, "{}:{line}: taken over: {name}, as {into}", path.display()),
            Err(why) => write!(out, "{}:{line}: not taken over: {name}: {why}", path.display()),
        }
    }
}

/// The variables of one file, each by its last assignment.
struct Variables {
    path: PathBuf,
    /// Name, line and value of the variables that are not handled yet.
    all: Vec<(String, usize, Option<String>)>,
    settings: Settings,
}

const EXPANSION: &str = "its value needs a shell to evaluate; set it in the config yourself";

/// Reads the settings of the distribution's service.
pub fn read(tree: &Tree, distribution: Distribution) -> Result<Settings, Error> {
    let path = match distribution {
        Distribution::Debian => "etc/default/kdump-tools",
        Distribution::Fedora | Distribution::Suse => "etc/sysconfig/kdump",
    };
    let Some(text) = tree.text(path)? else { return Ok(Settings::default()) };
    let mut variables = Variables::of(tree.path(path), &text);
    match distribution {
        Distribution::Debian => services::debian(&mut variables),
        Distribution::Fedora => services::fedora(&mut variables),
        Distribution::Suse => services::suse(&mut variables),
    }
    Ok(variables.rest())
}

impl Variables {
    fn of(path: PathBuf, text: &str) -> Self {
        let mut variables = Self { path, all: Vec::new(), settings: Settings::default() };
        for Statement { line, what } in shell::statements(text) {
            match what {
                What::Assignment { name, value } => {
                    variables.all.retain(|(known, ..)| *known != name);
                    variables.all.push((name, line, value));
                }
                What::Other => {
                    variables.fate(None, line, Err("it is not a plain assignment".into()))
                }
            }
        }
        variables
    }

    fn fate(&mut self, name: Option<&str>, line: usize, became: Result<&'static str, String>) {
        self.settings.fates.push(Fate {
            path: self.path.clone(),
            line,
            name: name.map(str::to_owned),
            became,
        });
    }

    fn taken(&mut self, name: &str, line: usize, into: &'static str) {
        self.fate(Some(name), line, Ok(into));
    }

    fn not(&mut self, name: &str, line: usize, why: String) {
        self.fate(Some(name), line, Err(why));
    }

    /// Takes a setting out, and returns its line and value if it is neither empty nor a default. A
    /// value that needs a shell gets a remark.
    fn take(&mut self, name: &str, defaults: &[&str]) -> Option<(usize, String)> {
        let at = self.all.iter().position(|(known, ..)| known == name)?;
        let (_, line, value) = self.all.remove(at);
        let Some(value) = value else {
            self.not(name, line, EXPANSION.into());
            return None;
        };
        (!value.is_empty() && !defaults.iter().any(|default| same_words(default, &value)))
            .then_some((line, value))
    }

    fn path(&mut self, name: &str, key: &'static str, default: &str) {
        if let Some((line, value)) = self.take(name, &[default]) {
            if value.starts_with('/') {
                self.settings.keys.push((key, string(&value)));
                self.taken(name, line, key);
            } else {
                self.not(name, line, format!("{value:?} is not an absolute path"));
            }
        }
    }

    /// Takes over a whole command line, which replaces the running kernel's, and the appended part,
    /// which defaults to `default`.
    fn command_line(
        &mut self,
        line: Option<(usize, String)>,
        append: Option<(usize, String)>,
        names: [&str; 2],
        default: &str,
    ) {
        if line.is_none() && append.is_none() {
            return;
        }
        let appended = append.as_ref().map_or(default, |(_, append)| append.as_str());
        let whole = match &line {
            Some((at, whole)) => {
                self.settings.keys.push(("reuse_cmdline", "false".into()));
                self.taken(names[0], *at, "append");
                format!("{whole} {appended}")
            }
            None => appended.to_owned(),
        };
        self.settings
            .keys
            .push(("append", string(&whole.split_whitespace().collect::<Vec<_>>().join(" "))));
        if let Some((at, _)) = append {
            self.taken(names[1], at, "append");
        }
    }

    /// Takes over options of kexec for which the config has a key.
    fn kexec(&mut self, name: &str, defaults: &[&str]) {
        let Some((line, value)) = self.take(name, defaults) else { return };
        let mut others: Vec<&str> = Vec::new();
        for option in value.split_whitespace() {
            let (key, value) = match option {
                "-s" | "--kexec-file-syscall" => ("file", string("always")),
                "-c" | "--kexec-syscall" => ("file", string("never")),
                "-a" | "--kexec-syscall-auto" => ("file", string("auto")),
                "--noefi" => ("noefi", "true".into()),
                _ => {
                    others.push(option);
                    continue;
                }
            };
            self.settings.keys.retain(|(known, _)| *known != key);
            self.settings.keys.push((key, value));
        }
        let by_kernel = self.settings.keys.contains(&("file", string("always")));
        if by_kernel && self.settings.keys.iter().any(|(key, _)| *key == "noefi") {
            self.settings.keys.retain(|(key, _)| *key != "noefi");
            others.push("--noefi together with -s");
        }
        if others.is_empty() {
            self.taken(name, line, "file or noefi");
        } else {
            self.not(name, line, format!("the config has no key for {}", others.join(" ")));
        }
    }

    fn leave(&mut self, names: &[&str], why: &str) {
        for name in names {
            let shipped = services::SHIPPED
                .iter()
                .find(|(shipped, _)| shipped == name)
                .map(|(_, value)| *value);
            if let Some((line, _)) = self.take(name, shipped.as_slice()) {
                self.not(name, line, why.to_owned());
            }
        }
    }

    /// Adds a remark for every setting that is left.
    fn rest(mut self) -> Settings {
        for (name, line, _) in std::mem::take(&mut self.all) {
            self.not(&name, line, "it is unknown to this program".into());
        }
        self.settings.fates.sort_by_key(|fate| fate.line);
        self.settings
    }
}

/// Whether two command lines have the same words.
fn same_words(one: &str, other: &str) -> bool {
    one.split_whitespace().eq(other.split_whitespace())
}

/// A string in TOML.
fn string(text: &str) -> String {
    // A JSON string is one in TOML.
    serde_json::to_string(text).expect("text always serializes")
}

#[cfg(test)]
mod tests;
