//! [3] udev rules, as far as it takes to find those that arm a capture kernel (udev(7)).

/// Keys by which a rule runs a program; `{program}` of `RUN` and the like is cut off before the comparison.
const RUNS: [&str; 3] = ["RUN", "PROGRAM", "IMPORT"];
/// In the command of everybody who arms capture kernels: kdump-config, kdumpctl, kdump-udev-throttler, /usr/lib/kdump/load-once.sh, kexec.
const ARMING: [&str; 2] = ["kdump", "kexec"];
/// In ours.
const OURS: &str = "/kdump-loader ";

/// A rule that arms, or lets a service arm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arming {
    /// Its line, from 1.
    pub line: usize,
    /// The key and the command.
    pub command: String,
}

/// The rules of a file that arm capture kernels, other than by this program.
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
            RUNS.contains(&name) && ARMING.iter().any(|word| value.contains(word)) && !value.contains(OURS)
        });
        found.extend(commands.map(|(key, value)| Arming { line: number + 1, command: format!("{key}={value}") }));
    }
    found
}

/// The keys of a rule and their values, up to the first thing that is neither.
fn tokens(rule: &str) -> Vec<(&str, &str)> {
    let mut tokens = Vec::new();
    let mut rest = rule;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let Some(operator) = rest.find(['=', '!', '+', '-', ':', '"']) else { return tokens };
        let key = rest[..operator].trim_end();
        // `e"…"` has escapes of C in it, which are of no concern here.
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

    // In the manner of the three distributions' rules; the scenario `debian-hotplug-service` reads Debian's own.

    #[test]
    fn program_while_rules_are_read_arms() {
        let text = "SUBSYSTEM==\"memory\", ACTION==\"offline\", PROGRAM=\"/usr/sbin/kdump-config try-reload\"\n";
        let [found] = arming(text).try_into().unwrap();
        assert_eq!(found, Arming { line: 1, command: "PROGRAM=/usr/sbin/kdump-config try-reload".into() });
    }

    #[test]
    fn command_behind_a_label_arms() {
        let text = "SUBSYSTEM==\"cpu\", ACTION==\"add\", GOTO=\"again\"\nGOTO=\"end\"\n\nLABEL=\"again\"\n\
                    RUN+=\"/bin/sh -c '/usr/bin/systemctl is-active kdump.service || exit 0; x'\"\nLABEL=\"end\"\n";
        assert_eq!(lines(text), [5]);
    }

    #[test]
    fn guard_that_reads_the_kernel_s_word_and_command_are_two_of_one_rule() {
        let text = "PROGRAM=\"/bin/cat /sys/kernel/kexec_crash_loaded\", RESULT!=\"0\", RUN+=\"/usr/lib/kdump/load-once.sh\"";
        assert_eq!(lines(text), [1, 1]);
    }

    #[test]
    fn ours_does_not() {
        assert_eq!(arming(include_str!("dist/40-kdump-loader.rules")), []);
    }

    #[test]
    fn comments_names_and_other_programs_do_not() {
        let text = "# RUN+=\"kexec\"\nSUBSYSTEM==\"kdump\", RUN+=\"/bin/true\"\nENV{KDUMP}=\"kexec\"\nGOTO=\"kdump_end\"\n";
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
