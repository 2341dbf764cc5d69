//! `[3]` Parses udev rules, as far as needed to find those that arm a capture kernel (udev(7)).

/// Keys that run a program. A suffix such as `{program}` of `RUN` is removed before the comparison.
const RUNS: [&str; 3] = ["RUN", "PROGRAM", "IMPORT"];
/// Parts of every command that arms: kdump-config, kdumpctl, kdump-udev-throttler,
/// /usr/lib/kdump/load-once.sh, kexec.
const ARMING: [&str; 2] = ["kdump", "kexec"];
/// Part of this program's own command.
const OURS: &str = "/kdump-loader ";

/// A rule that arms, or makes a service arm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arming {
    /// Its line, from 1.
    pub line: usize,
    /// The key and the command.
    pub command: String,
}

/// The rules in a file that arm capture kernels with another program.
pub fn arming(text: &str) -> Vec<Arming> {
    let mut found = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let mut rule = line.to_owned();
        while rule.ends_with('\\') {
            rule.pop();
            let Some((_, next)) = lines.next() else { break };
            rule.push_str(next);
        }
        if rule.trim_start().starts_with('#') {
            continue;
        }
        let commands = tokens(&rule).into_iter().filter(|(key, value)| {
            let name = key.split_once('{').map_or(*key, |(name, _)| name);
            RUNS.contains(&name)
                && ARMING.iter().any(|word| value.contains(word))
                && !value.contains(OURS)
        });
        found.extend(
            commands
                .map(|(key, value)| Arming { line: number + 1, command: format!("{key}={value}") }),
        );
    }
    found
}

/// The keys and values of a rule, up to the first syntax error.
fn tokens(rule: &str) -> Vec<(&str, &str)> {
    let mut tokens = Vec::new();
    let mut rest = rule;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let Some(operator) = rest.find(['=', '!', '+', '-', ':', '"']) else { return tokens };
        let key = rest[..operator].trim_end();
        // `e"…"` may contain C escapes, which do not matter here.
        let Some((_, quoted)) = rest[operator..].split_once('"') else { return tokens };
        let mut escaped = false;
        let end = quoted.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let Some(end) = end else { return tokens };
        tokens.push((key, &quoted[..end]));
        rest = &quoted[end + 1..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<usize> {
        arming(text).into_iter().map(|arming| arming.line).collect()
    }

    // Modeled on the three distributions' rules. The scenario `debian-hotplug-service` uses
    // Debian's own.

    #[test]
    fn program_key_that_arms_is_found() {
        let text = "SUBSYSTEM==\"memory\", ACTION==\"offline\", PROGRAM=\"/usr/sbin/kdump-config \
                    try-reload\"\n";
        let [found] = arming(text).try_into().unwrap();
        assert_eq!(
            found,
            Arming { line: 1, command: "PROGRAM=/usr/sbin/kdump-config try-reload".into() }
        );
    }

    #[test]
    fn command_after_a_label_is_found() {
        let text = "SUBSYSTEM==\"cpu\", ACTION==\"add\", GOTO=\"again\"\nGOTO=\"end\"\n\n\
                    LABEL=\"again\"\n\
                    RUN+=\"/bin/sh -c '/usr/bin/systemctl is-active kdump.service || exit 0; x'\"\n\
                    LABEL=\"end\"\n";
        assert_eq!(lines(text), [5]);
    }

    #[test]
    fn guard_and_command_of_one_rule_are_both_found() {
        let text = "PROGRAM=\"/bin/cat /sys/kernel/kexec_crash_loaded\", RESULT!=\"0\", \
                    RUN+=\"/usr/lib/kdump/load-once.sh\"";
        assert_eq!(lines(text), [1, 1]);
    }

    #[test]
    fn rule_of_this_program_does_not_count() {
        assert_eq!(arming(include_str!("dist/40-kdump-loader.rules")), []);
    }

    #[test]
    fn comments_names_and_other_programs_do_not_count() {
        let text = "# RUN+=\"kexec\"\nSUBSYSTEM==\"kdump\", RUN+=\"/bin/true\"\n\
                    ENV{KDUMP}=\"kexec\"\nGOTO=\"kdump_end\"\n";
        assert_eq!(lines(text), [] as [usize; 0]);
    }

    #[test]
    fn rule_over_several_lines_is_named_by_its_first() {
        assert_eq!(lines("\nSUBSYSTEM==\"cpu\", \\\n  RUN{program}+=\"/sbin/kexec -p x\"\n"), [2]);
    }

    #[test]
    fn escaped_quote_does_not_end_a_value() {
        assert_eq!(lines("RUN+=\"/bin/sh -c \\\"kdumpctl reload\\\"\""), [1]);
        assert_eq!(lines("RUN+=\"unterminated kexec"), [] as [usize; 0]);
    }
}
