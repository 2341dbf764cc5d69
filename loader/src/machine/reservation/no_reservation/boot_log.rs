//! What the kernel logged about its reservation: the lines with `crashkernel` in /dev/kmsg, or in a
//! snapshot's copy.

use std::io::{self, ErrorKind, Read};

use super::BootLog;

/// Every such line has this, with a small or a capital C.
const WORD: &str = "rashkernel";
/// Bytes of the longest record of /dev/kmsg. A read into a shorter buffer fails
/// (`CONSOLE_EXT_LOG_MAX`, kernel/printk/internal.h).
const RECORD: usize = 8192;
/// More records than a log buffer of a few MiB holds. The kernel may log faster than they are read.
const MOST_RECORDS: usize = 1 << 18;

/// Messages of kernel/crash_reserve.c; before Linux 6.7, of arch/x86/kernel/setup.c.
const LINES: &[(&str, BootLog)] = &[
    ("crashkernel reserved: 0x", BootLog::Reserved),
    ("for crashkernel (System RAM:", BootLog::Reserved),
    ("cannot allocate crashkernel low memory", BootLog::NoLowRoom),
    ("crashkernel low memory, please try smaller size", BootLog::NoLowRoom),
    ("crashkernel reservation failed - memory is in use", BootLog::InUse),
    ("cannot allocate crashkernel (size:", BootLog::NoRoom),
    ("crashkernel reservation failed - No suitable area found", BootLog::NoRoom),
];
/// The message about a value that the kernel cannot read (`parse_crashkernel_simple`,
/// kernel/crash_reserve.c), which may not be the value that decides. A kernel before 6.17 logs it
/// for `,cma`.
const UNREADABLE: &str = "crashkernel: unrecognized char: ,";

/// What the lines say. The kernel reserves once, so the first line with a result decides.
pub fn verdict(lines: &[u8]) -> Option<BootLog> {
    let text = String::from_utf8_lossy(lines);
    let decided = text.lines().find_map(|line| {
        LINES.iter().find(|(words, _)| line.contains(words)).map(|&(_, says)| says)
    });
    decided.or_else(|| text.contains(UNREADABLE).then_some(BootLog::Unreadable))
}

/// The lines of the log with `crashkernel`. `log` is /dev/kmsg, opened with O_NONBLOCK, which
/// returns one record per read; or a file of such lines.
pub fn read(mut log: impl Read) -> io::Result<Vec<u8>> {
    let (mut lines, mut record) = (Vec::new(), [0; RECORD]);
    for _ in 0..MOST_RECORDS {
        let len = match log.read(&mut record) {
            // The end of the file, or of the log so far.
            Ok(0) => break,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Ok(len) => len,
            // EPIPE: the kernel overwrote the record in the meantime.
            Err(error)
                if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::Interrupted) =>
            {
                continue;
            }
            Err(error) => return Err(error),
        };
        let about_it =
            |line: &&[u8]| line.windows(WORD.len()).any(|window| window == WORD.as_bytes());
        for line in record[..len].split(|&byte| byte == b'\n').filter(about_it) {
            lines.extend_from_slice(line);
            lines.push(b'\n');
        }
    }
    Ok(lines)
}
