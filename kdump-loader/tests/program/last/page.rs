//! `last --html`: the page says what `last` says, and text of a log stays text.

use super::*;

/// The page of `last --html`, on standard output.
fn page(root: &Path, arguments: &[&str]) -> String {
    let Run { code, stdout, stderr } = last(root, &[&["--html", "-"], arguments].concat());
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.starts_with("<!DOCTYPE html>") && stdout.ends_with("</html>\n"), "{stdout}");
    stdout
}

/// What a reader sees: the text without its marks.
fn shown(page: &str) -> String {
    let parts = page.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text));
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&amp;", "&")];
    let text: String = parts.collect();
    entities.iter().fold(text, |text, (entity, char)| text.replace(entity, char))
}

/// The lines of `last`, without the words in the first column.
fn lines(told: &str) -> impl Iterator<Item = &str> {
    told.lines().filter(|line| !line.is_empty()).map(|line| line.get(13..).unwrap_or(line))
}

#[test]
fn page_says_every_line_that_last_says() {
    let machine = Debian::new();
    machine.panicked();
    let mut later = jumped(machine.root());
    later.harvested_at += 1000;
    later.notes.push("memory has 2 logs".into());
    saved::save(machine.root(), &later, "", CAPTURE_LOG).unwrap();
    for arguments in [&[][..], &["--all"]] {
        let told = last(machine.root(), arguments).stdout;
        let shown = shown(&page(machine.root(), arguments));
        assert!(lines(&told).count() > 10, "{told}");
        lines(&told).for_each(|line| assert_says(&shown, &[line]));
    }
    let shown = shown(&page(machine.root(), &["--all"]));
    // The stages with their times, and both logs.
    let of_log = "[   61.000100] Kernel panic - not syncing: sysrq triggered crash";
    let stages = ["log copied", "0.660 ms", "11.645 ms", "refused", "0.055 ms"];
    assert_says(&shown, &[of_log, "The crashed kernel's log", "The capture kernel's log"]);
    assert_says(&shown, &stages);
}

#[test]
fn page_of_a_machine_without_a_panic_says_so() {
    let machine = Debian::new();
    let told = told(machine.root());
    assert_says(&shown(&page(machine.root(), &[])), &[told.trim_end()]);
}

#[test]
fn text_of_a_log_stays_text() {
    let machine = Debian::new();
    let evil = "</pre><script>alert(1)</script><img src=x onerror=\"a\">&amp;";
    let mut panic = jumped(machine.root());
    panic.panic_line = Some(format!("Kernel panic - not syncing: {evil}"));
    panic.notes.push(evil.into());
    panic.arming.boot.kernel_release = evil.into();
    panic.run.as_mut().unwrap().stage = evil.into();
    panic.capture_log.as_mut().unwrap().release = evil.into();
    panic.capture_log.as_mut().unwrap().errors = vec![evil.into()];
    let log = format!("[    1.000000] {evil}\n");
    saved::save(machine.root(), &panic, &log, &log).unwrap();
    let page = page(machine.root(), &[]);
    for mark in ["<script", "<img", "</pre><"] {
        let own = usize::from(mark == "</pre><") * 2;
        assert_eq!(page.matches(mark).count(), own, "{mark} in {page}");
    }
    assert_says(&shown(&page), &[log.trim_end(), &format!("not syncing: {evil}")]);
}

#[test]
fn page_fetches_and_runs_nothing_and_fits_a_phone_and_the_dark() {
    let machine = Debian::new();
    machine.panicked();
    let page = page(machine.root(), &[]);
    assert_says(
        &page,
        &[
            "default-src 'none'",
            "width=device-width",
            "prefers-color-scheme: dark",
            "max-width: 600px",
        ],
    );
    for fetches in ["<script", "src=", "href=", "url(", "@import", "http:", "https:"] {
        assert!(!page.contains(fetches), "{fetches}");
    }
}

#[test]
fn page_goes_to_the_file_that_is_named_and_marks_the_panic_as_seen() {
    let machine = Debian::new();
    let folder = machine.panicked();
    let file = machine.path("panic.html");
    let result = last(machine.root(), &["--html", file.to_str().unwrap()]);
    assert_eq!((result.code, result.stdout.as_str()), (Some(0), ""), "{}", result.stderr);
    assert_eq!(fs::read_to_string(&file).unwrap(), page(machine.root(), &[]));
    assert!(folder.join("seen").exists());
    assert_eq!(last(machine.root(), &["--html", "--json"]).code, Some(2));
}
