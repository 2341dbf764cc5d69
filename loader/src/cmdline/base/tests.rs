//! Reused command lines, the parameters that are dropped from them, and parameters from the caller.

use proptest::prelude::*;

use super::*;
use crate::cmdline::running_only::TABLE;

fn reused(running: &str, append: &str) -> (String, String) {
    let base = Base::reused(running.as_bytes(), append);
    (text(&base.line), base.dropped_text().join(" "))
}

/// Whether `line` is kept whole.
fn kept(line: &str) -> bool {
    reused(line, "") == (line.into(), "".into())
}

#[test]
fn huge_pages_of_the_running_kernel_are_not_reused() {
    let running = "BOOT_IMAGE=/boot/vmlinuz root=/dev/vda1 ro default_hugepagesz=1G hugepagesz=1G \
                   hugepages=0:16,1:16 crashkernel=256M quiet";
    let (line, dropped) = reused(running, "nr_cpus=1");
    assert_eq!(line, "root=/dev/vda1 ro quiet nr_cpus=1");
    assert_eq!(
        dropped,
        "BOOT_IMAGE=/boot/vmlinuz default_hugepagesz=1G hugepagesz=1G hugepages=0:16,1:16 \
         crashkernel=256M"
    );
}

#[test]
fn words_for_init_are_not_filtered() {
    assert_eq!(
        reused("ro hugepages=1 -- hugepages=2 crashkernel=mine", "irqpoll"),
        ("ro irqpoll -- hugepages=2 crashkernel=mine".into(), "hugepages=1".into())
    );
    assert!(kept("-- hugepages=2") && kept("ro \"--\" hugepages=2"));
    assert_eq!(reused("hugepages=1 -- x", "").0, "-- x");
    assert_eq!(reused("", "a -- b").0, "a -- b");
}

#[test]
fn quotes_are_read_as_the_kernel_reads_them() {
    assert!(kept("a=\"x hugepages=1 y\" b"), "inside a value");
    assert_eq!(
        reused("dyndbg=\"file x +p\" hugepages=\"1 2\" b", ""),
        ("dyndbg=\"file x +p\" b".into(), "hugepages=\"1 2\"".into())
    );
    // A no-break space of Latin-1 separates words of the kernel, and stays what it was.
    let base = Base::reused(b"a=\xa0hugepages=1\xa0b \xff", "");
    assert_eq!(
        (base.line, base.dropped),
        (b"a=\xa0b \xff".to_vec(), vec![b"hugepages=1".to_vec()])
    );
}

#[test]
fn unified_images_own_line_is_filtered_and_a_given_one_is_not() {
    let chosen = |reuse, given, brought: Option<&str>| {
        let base = Base::chosen(b"running hugepages=1", reuse, given, brought.map(str::as_bytes));
        (text(&base.line), base.dropped_text().join(" "))
    };
    assert_eq!(
        chosen(false, None, Some("ro crashkernel=64M")),
        ("ro ".into(), "crashkernel=64M".into())
    );
    assert_eq!(
        chosen(false, Some("crashkernel=64M"), Some("brought")),
        ("crashkernel=64M".into(), "".into())
    );
    assert_eq!(
        chosen(true, Some("hugepages=2"), Some("brought")),
        ("running hugepages=2".into(), "hugepages=1".into())
    );
    assert_eq!(chosen(true, None, Some("brought")), ("running ".into(), "hugepages=1".into()));
    assert_eq!(chosen(false, None, None), ("".into(), "".into()));
}

#[test]
fn line_feeds_of_a_reused_line_are_spaces_and_those_of_the_caller_are_refused() {
    let composed = |running: &[u8], reuse, given, brought| {
        let base = Base::chosen(running, reuse, given, brought);
        crate::cmdline::compose(&base.line, 2048, 0x1000, None, false).map(|line| text(&line.bytes))
    };
    let all = "a b c d elfcorehdr=0x1000\0";
    assert_eq!(
        composed(b"a\nb\x0bc\x0cquiet\rd\n", true, None, None).unwrap(),
        "a b c quiet d elfcorehdr=0x1000\0"
    );
    assert_eq!(composed(b"", false, None, Some(b"a\nb\x01c\x7fd\r\n")).unwrap(), all);
    for (running, reuse, given, brought) in [
        (&b"a"[..], true, Some("b\nc"), None),
        (b"a", false, Some("b\nc"), None),
        (b"a\0b", true, None, None),
        (b"", false, None, Some(&b"a\0b"[..])),
    ] {
        let refused = composed(running, reuse, given, brought);
        assert!(matches!(refused, Err(crate::cmdline::Error::Character { .. })), "{refused:?}");
    }
}

#[test]
fn given_parameters_of_the_table_are_found_together_by_their_reason() {
    let base =
        Base::from("hugepages=1 BOOT_IMAGE=x ro log_buf_len=4M hugepagesz=2M cma=0 -- mem=1G");
    let unfit: Vec<_> = base.unfit().into_iter().map(|(_, words)| words.join(" ")).collect();
    assert_eq!(unfit, ["hugepages=1 hugepagesz=2M", "log_buf_len=4M"]);
    assert_eq!(Base::reused(b"hugepages=1 log_buf_len=4M", "").unfit().len(), 0);
}

/// Words that are dropped, words that look like it, and bytes of every kind.
fn any_line() -> impl Strategy<Value = Vec<u8>> {
    let names: Vec<&str> =
        TABLE.iter().flat_map(|row| row.names).map(|name| name.trim_end_matches('*')).collect();
    let listed = (prop::sample::select(names), "(=[0-9a-zA-Z,@$!\"-]{0,6})?")
        .prop_map(|(name, value)| (name.to_owned() + &value).into_bytes());
    let word = prop_oneof![
        listed,
        "[\"a-z=_-]{1,8}".prop_map(String::into_bytes),
        Just(b"--".to_vec()),
        prop::collection::vec(any::<u8>(), 0..6),
    ];
    let separator = prop::sample::select([&b" "[..], b"  ", b"\t", b"\xa0"].to_vec());
    prop::collection::vec((word, separator), 0..12).prop_map(|words| {
        words.into_iter().flat_map(|(word, separator)| [&word, separator].concat()).collect()
    })
}

proptest! {
    #[test]
    fn filter_drops_what_the_table_lists_and_keeps_all_other_words_in_order(line in any_line()) {
        let base = Base::reused(&line, "");
        let (before, end) = parameters(&line);
        let texts = |words: Vec<crate::cmdline::parameter::Word<'_>>| {
            words.iter().map(|word| word.text.to_vec()).collect::<Vec<_>>()
        };
        let (dropped, kept): (Vec<_>, Vec<_>) =
            before.into_iter().partition(|word| row_of(word).is_some());
        let (after, after_end) = parameters(&base.line);
        prop_assert_eq!(texts(after), texts(kept));
        prop_assert_eq!(texts(dropped), base.dropped.clone());
        prop_assert_eq!(&base.line[after_end..], &line[end..]);
        prop_assert_eq!(
            Base::reused(&base.line, ""),
            Base { line: base.line.clone(), dropped: Vec::new() }
        );
        if base.dropped.is_empty() {
            prop_assert_eq!(base.line, line);
        }
    }
}
