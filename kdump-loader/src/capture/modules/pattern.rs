//! Patterns of modules.alias, as fnmatch(3) reads them: `*`, `?` and `[a-c]`.
//!
//! *On entry* a pattern and a name. *On exit* whether the whole name matches. The running time is
//! bounded by the product of both lengths.

/// Whether `name` matches `pattern`.
pub fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut at, mut in_name) = (0, 0);
    // Where the last `*` is, and how much of the name it has taken.
    let mut star: Option<(usize, usize)> = None;
    while in_name < name.len() {
        match one(&pattern[at..], name[in_name]) {
            One::Star => {
                star = Some((at, in_name));
                at += 1;
                continue;
            }
            One::Taken(len) => {
                at += len;
                in_name += 1;
                continue;
            }
            One::Differs => {}
        }
        let Some((star_at, taken)) = star else { return false };
        star = Some((star_at, taken + 1));
        (at, in_name) = (star_at + 1, taken + 1);
    }
    pattern[at..].iter().all(|&byte| byte == b'*')
}

enum One {
    Star,
    /// So many bytes of the pattern match the byte.
    Taken(usize),
    Differs,
}

fn one(pattern: &[u8], byte: u8) -> One {
    match pattern {
        [] => One::Differs,
        [b'*', ..] => One::Star,
        [b'?', ..] => One::Taken(1),
        [b'[', rest @ ..] => match rest.iter().position(|&byte| byte == b']') {
            Some(end) if in_set(&rest[..end], byte) => One::Taken(end + 2),
            Some(_) => One::Differs,
            None if byte == b'[' => One::Taken(1),
            None => One::Differs,
        },
        [first, ..] if *first == byte => One::Taken(1),
        _ => One::Differs,
    }
}

/// Whether a byte is in a set such as `0-9a`.
fn in_set(set: &[u8], byte: u8) -> bool {
    let mut rest = set;
    while let [first, after @ ..] = rest {
        if let [b'-', last, after @ ..] = after {
            if (*first..=*last).contains(&byte) {
                return true;
            }
            rest = after;
        } else {
            if *first == byte {
                return true;
            }
            rest = after;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_modules_alias_match_as_fnmatch_does() {
        for (pattern, name, expected) in [
            ("virtio:d00000002v*", "virtio:d00000002v00001AF4", true),
            ("virtio:d00000002v*", "virtio:d00000008v00001AF4", false),
            (
                "pci:v*d*sv*sd*bc01sc08i02*",
                "pci:v00001B36d00000010sv00001AF4sd00001100bc01sc08i02",
                true,
            ),
            (
                "pci:v*d*sv*sd*bc01sc06i01*",
                "pci:v00001B36d00000010sv00001AF4sd00001100bc01sc08i02",
                false,
            ),
            ("usb:v0409p0058d01[0-2]*dc*", "usb:v0409p0058d0119dc00", true),
            ("usb:v0409p0058d01[0-2]*dc*", "usb:v0409p0058d0139dc00", false),
            ("scsi:t-0x00*", "scsi:t-0x00", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*a*b", "xaxbxab", true),
            ("*a*b", "xaxbxac", false),
            ("", "", true),
            ("*", "", true),
            ("", "a", false),
            ("[", "[", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
