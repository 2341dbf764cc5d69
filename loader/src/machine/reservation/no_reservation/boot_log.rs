//! What the kernel logged about its reservation: the lines of /dev/kmsg, or of a snapshot's copy,
//! that are about `crashkernel`.

use std::io::{self, ErrorKind, Read};

use super::BootLog;

/// What every such line has, whatever its case ("Crashkernel reserve memory cannot …").
const WORD: &str = "rashkernel";
/// Room for one record of /dev/kmsg, which a shorter buffer would not get (`CONSOLE_EXT_LOG_MAX`,
/// kernel/printk/internal.h).
const RECORD: usize = 8192;
/// More records than a log buffer of a few MiB holds. The kernel may log faster than they are read.
const MOST_RECORDS: usize = 1 << 18;

/// Since 6.7 from kernel/crash_reserve.c, before from arch/x86/kernel/setup.c.
const LINES: &[(&str, BootLog)] = &[
    ("crashkernel reserved: 0x", BootLog::Reserved),
    ("for crashkernel (System RAM:", BootLog::Reserved),
    ("cannot allocate crashkernel low memory", BootLog::NoLowRoom),
    ("crashkernel low memory, please try smaller size", BootLog::NoLowRoom),
    ("crashkernel reservation failed - memory is in use", BootLog::InUse),
    ("cannot allocate crashkernel (size:", BootLog::NoRoom),
    ("crashkernel reservation failed - No suitable area found", BootLog::NoRoom),
];
/// Of a value that the kernel cannot read (`parse_crashkernel_simple`, kernel/crash_reserve.c). A
/// kernel before 6.17 logs it for `,cma`. It may be about a value that does not decide.
const UNREADABLE: &str = "crashkernel: unrecognized char: ,";

/// What the lines say. The kernel reserves once, so the first that says what came of it
/// decides.
pub fn verdict(lines: &[u8]) -> Option<BootLog> {
    let text = String::from_utf8_lossy(lines);
    let decided = text.lines().find_map(|line| LINES.iter().find(|(words, _)| line.contains(words)).map(|&(_, says)| says));
    decided.or_else(|| text.contains(UNREADABLE).then_some(BootLog::Unreadable))
}

/// The lines of the log that are about `crashkernel`. `log` is /dev/kmsg, open without blocking,
/// which gives one record a read; or a file of such lines.
pub fn read(mut log: impl Read) -> io::Result<Vec<u8>> {
    let (mut lines, mut record) = (Vec::new(), [0; RECORD]);
    for _ in 0..MOST_RECORDS {
        let len = match log.read(&mut record) {
            // The end of a file, or of what has been logged so far.
            Ok(0) => break,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Ok(len) => len,
            // EPIPE: the record was overwritten meanwhile.
            Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::Interrupted) => continue,
            Err(error) => return Err(error),
        };
        let about_it = |line: &&[u8]| line.windows(WORD.len()).any(|window| window == WORD.as_bytes());
        for line in record[..len].split(|&byte| byte == b'\n').filter(about_it) {
            lines.extend_from_slice(line);
            lines.push(b'\n');
        }
    }
    Ok(lines)
}
