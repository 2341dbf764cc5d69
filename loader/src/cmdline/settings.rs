//! `[6c]` Looks up single parameters in a command line.

use super::parameter::{Word, is_space, parameters, same_name, words};

/// Whether the line has the kernel parameter `name`, with or without a value.
pub fn has_parameter(line: impl AsRef<[u8]>, name: &str) -> bool {
    parameters(line.as_ref()).0.iter().any(|word| same_name(word.name(), name.as_bytes()))
}

/// The value of the kernel parameter `name`, as text. If there are several, the last.
pub fn value(line: impl AsRef<[u8]>, name: &str) -> Option<String> {
    let (words, _) = parameters(line.as_ref());
    let named = words.iter().rev().filter(|word| same_name(word.name(), name.as_bytes()));
    named.filter_map(|word| word.value()).next().map(super::text)
}

/// Every value of the kernel parameter `name`, as text, in order.
pub fn values(line: impl AsRef<[u8]>, name: &str) -> Vec<String> {
    let (words, _) = parameters(line.as_ref());
    let named = words.iter().filter(|word| same_name(word.name(), name.as_bytes()));
    named.filter_map(|word| word.value()).map(super::text).collect()
}

/// Every kernel parameter `name` as it is written, with or without a value, in order.
pub fn written(line: impl AsRef<[u8]>, name: &str) -> Vec<String> {
    let (words, _) = parameters(line.as_ref());
    let named = words.iter().filter(|word| same_name(word.name(), name.as_bytes()));
    named.map(|word| super::text(word.text)).collect()
}

/// Name and value of every word, as text, in order. Those after `--` are among them: init gets
/// them, and systemd reads them in /proc/cmdline.
pub fn every_word(line: impl AsRef<[u8]>) -> Vec<(String, Option<String>)> {
    let text = |word: &Word<'_>| (super::text(word.name()), word.value().map(super::text));
    words(line.as_ref()).iter().map(text).collect()
}

/// The parameters for this module, without its name, in order, as text for finit_module(2). Its
/// name has underscores for hyphens.
pub fn of_module(line: impl AsRef<[u8]>, module: &str) -> Vec<String> {
    let mut found = Vec::new();
    for word in parameters(line.as_ref()).0 {
        let name = word.name();
        let Some(dot) = name.iter().position(|&byte| byte == b'.') else { continue };
        if !same_name(&name[..dot], module.as_bytes()) {
            continue;
        }
        let parameter = super::text(&name[dot + 1..]);
        found.push(match word.value() {
            None => parameter,
            // The kernel splits the module's parameters at spaces, too.
            Some(value) if value.iter().any(|&byte| is_space(byte)) => {
                format!("{parameter}=\"{}\"", super::text(value))
            }
            Some(value) => format!("{parameter}={}", super::text(value)),
        });
    }
    found
}

/// The most CPUs that the kernel supports, if `nr_cpus=` limits them. If there are several, the
/// smallest counts (`nrcpus`, kernel/smp.c).
pub fn cpu_limit(line: impl AsRef<[u8]>) -> Option<u32> {
    numbers(line.as_ref(), "nr_cpus").into_iter().filter(|&limit| limit > 0).min()
}

/// Whether the kernel starts no CPU besides the boot CPU. If there are several `maxcpus=`, the last
/// counts (`maxcpus`, kernel/smp.c).
pub fn starts_one_cpu(line: impl AsRef<[u8]>) -> bool {
    let line = line.as_ref();
    has_parameter(line, "nosmp") || numbers(line, "maxcpus").last().is_some_and(|&limit| limit <= 1)
}

fn numbers(line: &[u8], name: &str) -> Vec<u32> {
    let (words, _) = parameters(line);
    let values = words
        .iter()
        .filter(|word| same_name(word.name(), name.as_bytes()))
        .filter_map(|word| word.value());
    values.filter_map(number).collect()
}

/// The decimal number at the start of `value` (`get_option`, lib/cmdline.c).
fn number(value: &[u8]) -> Option<u32> {
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
    str::from_utf8(&value[..digits]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_a_module_are_those_with_its_name_before_a_dot() {
        let line = "nvme.a=1 nvme nvme_core.b=1 \"nvme.c=x y\" nvme.d=\"z w\" nvme.e -- nvme.f";
        assert_eq!(of_module(line, "nvme"), ["a=1", "c=\"x y\"", "d=\"z w\"", "e"]);
        assert_eq!(of_module("nvme-core.b.c=1", "nvme_core"), ["b.c=1"]);
    }

    #[test]
    fn least_nr_cpus_and_last_maxcpus_count() {
        for (line, limit) in [
            ("nr_cpus=8 nr_cpus=4 nr_cpus=0 nr-cpus=6", Some(4)),
            ("nr_cpus", None),
            ("nr_cpus=x", None),
            ("-- nr_cpus=1", None),
        ] {
            assert_eq!(cpu_limit(line), limit, "{line}");
        }
        for (line, one) in [
            ("maxcpus=4 maxcpus=1", true),
            ("maxcpus=1 maxcpus=4", false),
            ("maxcpus=0", true),
            ("nosmp", true),
            ("nr_cpus=1", false),
        ] {
            assert_eq!(starts_one_cpu(line), one, "{line}");
        }
    }
}
