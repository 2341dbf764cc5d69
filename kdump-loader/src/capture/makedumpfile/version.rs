//! `[5a]` What a makedumpfile says of itself in its texts: its version, and which compressions it
//! was built with. It is not run.

use std::cmp::Ordering;

/// The text before the version in the program (`show_version`, makedumpfile.c).
const BANNER: &[u8] = b"makedumpfile: version ";
/// What it prints of each compression that it was built with (the same).
const ZSTD: &[u8] = b"zstd\tenabled";
const LZO: &[u8] = b"lzo\tenabled";

/// The first makedumpfile that knows the page types of Linux 6.12 (makedumpfile issue 16). Older
/// ones exclude no free pages.
const FIRST_GOOD: [u32; 3] = [1, 7, 7];
/// The first Linux with the new page types.
const PAGE_TYPES_CHANGED: [u32; 2] = [6, 12];

/// How the dump's pages are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// zstd.
    Zstd,
    /// LZO.
    Lzo,
    /// zlib, which is always there, and the slowest.
    Zlib,
}

impl Compression {
    /// The best that this program was built with.
    pub fn best(program: &[u8]) -> Self {
        match program {
            _ if find(program, ZSTD).is_some() => Self::Zstd,
            _ if find(program, LZO).is_some() => Self::Lzo,
            _ => Self::Zlib,
        }
    }

    /// Its option.
    pub fn option(self) -> &'static str {
        match self {
            Self::Zstd => "-z",
            Self::Lzo => "-l",
            Self::Zlib => "-c",
        }
    }
}

/// The version text in a makedumpfile program.
pub fn of(program: &[u8]) -> Option<String> {
    let text = &program[find(program, BANNER)? + BANNER.len()..];
    let end = text.iter().position(|byte| !byte.is_ascii_digit() && *byte != b'.')?;
    String::from_utf8(text[..end].to_vec()).ok().filter(|version| !version.is_empty())
}

/// Whether the page types of this release are those that only a newer makedumpfile knows.
pub fn has_new_page_types(release: &str) -> bool {
    numbers::<2>(release).is_some_and(|release| release.cmp(&PAGE_TYPES_CHANGED) != Ordering::Less)
}

/// Whether this version of makedumpfile does not know them, and keeps every free page.
pub fn is_before_new_page_types(version: &str) -> bool {
    numbers::<3>(version).is_some_and(|version| version < FIRST_GOOD)
}

/// What such a version does to the dump of such a release.
pub fn keeps_free_pages(version: &str, release: &str) -> String {
    format!(
        "makedumpfile {version} does not know the page types of Linux {release} and keeps every \
         free page: the dump can be several times larger and slower"
    )
}

/// The first numbers of a version such as `6.12.43+deb13-amd64`.
fn numbers<const COUNT: usize>(version: &str) -> Option<[u32; COUNT]> {
    let mut numbers = [0; COUNT];
    let mut parts = version.split(|character: char| !character.is_ascii_digit());
    for number in &mut numbers {
        *number = parts.next()?.parse().ok()?;
    }
    Some(numbers)
}

fn find(program: &[u8], text: &[u8]) -> Option<usize> {
    program.windows(text.len()).position(|window| window == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_is_found_in_the_program() {
        assert_eq!(
            of(b"\x7fELF..makedumpfile: version 1.7.6 (released on").as_deref(),
            Some("1.7.6")
        );
        assert_eq!(of(b"\x7fELF"), None);
        assert_eq!(of(b"makedumpfile: version unknown"), None);
    }

    #[test]
    fn versions_before_the_new_page_types_are_too_old_for_kernels_with_them() {
        assert!(is_before_new_page_types("1.7.6") && !is_before_new_page_types("1.7.7"));
        assert!(!is_before_new_page_types("1.7.10") && !is_before_new_page_types("1.8"));
        assert!(!has_new_page_types("6.6.1-amd64") && !has_new_page_types("6.1.0"));
        assert!(has_new_page_types("6.12.43+deb13-amd64") && has_new_page_types("7.0"));
    }

    #[test]
    fn best_compression_is_one_that_the_program_was_built_with() {
        let best = |text: &str| Compression::best(text.as_bytes()).option();
        assert_eq!(best("lzo\tenabled\n\0snappy\tdisabled\n\0zstd\tenabled\n\0"), "-z");
        assert_eq!(best("lzo\tenabled\n\0zstd\tdisabled\n\0"), "-l");
        assert_eq!(best("lzo\tdisabled\n\0zstd\tdisabled\n\0"), "-c");
    }
}
