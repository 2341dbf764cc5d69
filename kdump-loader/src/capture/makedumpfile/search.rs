//! `[5a]` The directories in which ld.so finds libraries on this machine.
//!
//! ld.so itself asks a cache, which ldconfig(8) makes from /etc/ld.so.conf. Here, that file is
//! read.

use std::path::Path;

use crate::health::files::Files;

/// The configuration of ldconfig.
const CONFIG: &str = "/etc/ld.so.conf";
/// How deep files may include each other. ldconfig has no limit.
const DEEPEST: u32 = 8;
/// Directories that are compiled into ld.so: Debian's, then those of other distributions.
const DEFAULTS: [&str; 6] = [
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
];
/// Includes other files.
const INCLUDE: &str = "include";
/// Names directories for CPUs with certain features.
const HWCAP: &str = "hwcap";

/// All of them, in ld.so's order.
pub fn directories(files: Files<'_>) -> Vec<String> {
    let mut directories = Vec::new();
    read(files, CONFIG, DEEPEST, &mut directories);
    directories.extend(DEFAULTS.map(str::to_owned));
    directories
}

fn read(files: Files<'_>, path: &str, deeper: u32, directories: &mut Vec<String>) {
    let Some(text) = files.text(path) else { return };
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    for line in lines {
        let mut words = line.split_whitespace();
        match words.next() {
            Some(INCLUDE) if deeper > 0 => {
                for included in words.flat_map(|pattern| matches(files, path, pattern)) {
                    read(files, &included, deeper - 1, directories);
                }
            }
            Some(INCLUDE | HWCAP) | None => {}
            Some(_) => {
                let listed = line.split([' ', '\t', ':', ',']);
                // As in `/lib=libc5`, which only old programs had.
                let listed = listed.filter_map(|word| word.split('=').next());
                directories.extend(listed.filter(|it| it.starts_with('/')).map(str::to_owned));
            }
        }
    }
}

/// The files that a pattern names, sorted. Its last part may have one `*`.
fn matches(files: Files<'_>, from: &str, pattern: &str) -> Vec<String> {
    let beside = Path::new(from).parent().unwrap_or(Path::new("/"));
    let path = beside.join(pattern);
    let path = path.to_string_lossy();
    let Some((directory, name)) = path.rsplit_once('/') else { return Vec::new() };
    let Some((start, end)) = name.split_once('*') else { return vec![path.into_owned()] };
    let is_named = |name: &String| {
        name.len() >= start.len() + end.len()
            && name.starts_with(start)
            && name.ends_with(end)
            // As for every shell.
            && (!name.starts_with('.') || start.starts_with('.'))
    };
    let names = files.names(directory).into_iter().filter(is_named);
    names.map(|name| format!("{directory}/{name}")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::example::Tree;
    use super::*;

    fn configured(tree: &Tree) -> Vec<String> {
        let mut found = directories(tree.files());
        found.truncate(found.len() - DEFAULTS.len());
        found
    }

    #[test]
    fn configuration_comes_before_the_defaults_and_includes_are_sorted() {
        let tree = Tree::new();
        assert_eq!(directories(tree.files()), DEFAULTS);
        tree.write("etc/ld.so.conf", "include ld.so.conf.d/*.conf\n/opt/a:/opt/b # mine\n");
        tree.write("etc/ld.so.conf.d/b.conf", "# multiarch\n/usr/local/lib\n");
        tree.write("etc/ld.so.conf.d/a.conf", "/usr/lib/dyninst\n\nhwcap 1 avx\n");
        tree.write("etc/ld.so.conf.d/c.conf.old", "/old\n");
        tree.write("etc/ld.so.conf.d/.conf", "/hidden\n");
        assert_eq!(configured(&tree), ["/usr/lib/dyninst", "/usr/local/lib", "/opt/a", "/opt/b"]);
    }

    #[test]
    fn file_that_includes_itself_ends() {
        let tree = Tree::new();
        tree.write("etc/ld.so.conf", "/opt/lib\ninclude /etc/ld.so.conf /etc/other.conf\n");
        tree.write("etc/other.conf", "/usr/libexec\n");
        let found = configured(&tree);
        assert!(found.contains(&"/usr/libexec".to_owned()) && found.len() < 50, "{found:?}");
    }
}
