//! What the kernel's probes recorded of kexec_load(2), kexec_file_load(2), memory that came, and
//! the kernel's updates of the elfcorehdr: a text of tracefs, parsed.

use std::collections::HashMap;
use std::fmt::Write;
use std::ops::Range;

/// Most segments of kexec_load(2) (`KEXEC_SEGMENT_MAX`, include/linux/kexec.h).
const SEGMENTS: usize = 16;
/// Size of `struct kexec_segment`, and the offset of its `bufsz` (include/uapi/linux/kexec.h).
const SEGMENT_LEN: usize = 32;
const BUFSZ_AT: usize = 8;
/// Offsets of a system call's arguments in `struct pt_regs` (arch/x86/include/asm/ptrace.h):
/// kexec_load(2)'s number of segments and their list; kexec_file_load(2)'s flags.
const SI_AT: usize = 104;
const DX_AT: usize = 96;
const R8_AT: usize = 72;
/// kexec_file_load(2) without files: unload (`KEXEC_FILE_UNLOAD`, include/uapi/linux/kexec.h).
const FILE_UNLOAD: u64 = 1;

/// Probes of the system calls, of `__add_memory`, which adds a DIMM, and of `online_pages`,
/// which brings one block of it online (both mm/memory_hotplug.c). Their language is that of
/// Documentation/trace/kprobetrace.rst.
///
/// A system call's function gets the registers of user space. The list of segments is still there.
pub fn probes() -> Vec<String> {
    let mut call = format!("p:load __x64_sys_kexec_load nr=+{SI_AT}(%di):u64");
    for segment in 0..SEGMENTS {
        let at = segment * SEGMENT_LEN + BUFSZ_AT;
        let _ = write!(call, " b{segment}=+u{at}(+{DX_AT}(%di)):u64");
    }
    let file = format!("p:file __x64_sys_kexec_file_load flags=+{R8_AT}(%di):x64");
    let rest = [
        "r:load_end __x64_sys_kexec_load result=$retval:s64",
        "r:file_end __x64_sys_kexec_file_load result=$retval:s64",
        "p:add __add_memory",
        "r:add_end __add_memory",
        "p:online online_pages",
        "r:online_end online_pages",
    ];
    [call, file].into_iter().chain(rest.map(str::to_owned)).collect()
}

/// The kernel's own update (kernel/crash_core.c), which kernels before 6.6 lack.
pub const UPDATE_FUNCTION: &str = "crash_handle_hotplug_event";

/// Probes of [`UPDATE_FUNCTION`].
pub fn update_probes() -> [String; 2] {
    [format!("p:update {UPDATE_FUNCTION}"), format!("r:update_end {UPDATE_FUNCTION}")]
}

/// One kexec_load(2), or a kexec_file_load(2) that unloads. Times are seconds of CLOCK_MONOTONIC.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    pub began_s: f64,
    pub ended_s: f64,
    /// Bytes that it copied, by segment.
    pub segments: Vec<u64>,
    /// What it returned: 0, or a negative error number.
    pub result: i64,
}

impl Call {
    pub fn is_load(&self) -> bool {
        self.result == 0 && !self.segments.is_empty()
    }

    pub fn is_unload(&self) -> bool {
        self.result == 0 && self.segments.is_empty()
    }

    pub fn copied_bytes(&self) -> u64 {
        self.segments.iter().sum()
    }

    pub fn took_s(&self) -> f64 {
        self.ended_s - self.began_s
    }
}

/// A function of the kernel from its beginning to its end, in seconds of CLOCK_MONOTONIC.
pub type Span = Range<f64>;

/// Everything that ended, in the order in which it ended; calls in the order in which they began.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace {
    pub calls: Vec<Call>,
    /// Each DIMM, until its last block is online.
    pub added: Vec<Span>,
    /// Each block.
    pub onlined: Vec<Span>,
    /// Each update of the elfcorehdr.
    pub updated: Vec<Span>,
}

impl Trace {
    /// When each block was online.
    pub fn online_s(&self) -> Vec<f64> {
        self.onlined.iter().map(|block| block.end).collect()
    }
}

/// Parses tracefs' file `trace`. The error is the first line that does not parse.
pub fn parse(text: &str) -> Result<Trace, String> {
    let mut trace = Trace::default();
    // By task: a task is in one call at a time.
    let mut open: HashMap<&str, Call> = HashMap::new();
    let mut began: HashMap<(&str, &str), f64> = HashMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        let broken = || line.to_owned();
        let Event { task, at_s, name, fields } = event(line).ok_or_else(broken)?;
        let mut begin = |segments| {
            open.insert(task, Call { began_s: at_s, ended_s: at_s, segments, result: 0 });
        };
        let number = |name: &str| field(fields, name)?.parse::<u64>().ok();
        match name {
            "load" => {
                let count = number("nr").ok_or_else(broken)?.min(SEGMENTS as u64);
                let segments = (0..count).map(|segment| number(&format!("b{segment}")));
                begin(segments.collect::<Option<_>>().ok_or_else(broken)?);
            }
            "file" => {
                let flags = field(fields, "flags").and_then(|flags| flags.strip_prefix("0x"));
                let flags = flags.and_then(|flags| u64::from_str_radix(flags, 16).ok());
                // A load copies bytes that no argument names, so they could not be counted.
                if flags.ok_or_else(broken)? & FILE_UNLOAD == 0 {
                    return Err(broken());
                }
                begin(Vec::new());
            }
            "load_end" | "file_end" => {
                let result = field(fields, "result").and_then(|result| result.parse().ok());
                let call = open.remove(task).ok_or_else(broken)?;
                let result = result.ok_or_else(broken)?;
                trace.calls.push(Call { ended_s: at_s, result, ..call });
            }
            "add" | "online" | "update" => drop(began.insert((task, name), at_s)),
            _ => {
                let (name, spans) = match name {
                    "add_end" => ("add", &mut trace.added),
                    "online_end" => ("online", &mut trace.onlined),
                    "update_end" => ("update", &mut trace.updated),
                    _ => return Err(broken()),
                };
                spans.push(began.remove(&(task, name)).ok_or_else(broken)?..at_s);
            }
        }
    }
    trace.calls.sort_by(|one, other| one.began_s.total_cmp(&other.began_s));
    Ok(trace)
}

/// How many calls had begun and not ended, by tracefs' file `kprobe_profile`; `None` if it does not
/// parse.
pub fn under_way(profile: &str) -> Option<u64> {
    let hits = |name: &str| -> Option<u64> {
        let mut lines = profile.lines().map(|line| line.split_whitespace());
        lines.find_map(|mut words| (words.next()? == name).then_some(words))?.next()?.parse().ok()
    };
    (hits("load")? + hits("file")?).checked_sub(hits("load_end")? + hits("file_end")?)
}

struct Event<'a> {
    task: &'a str,
    at_s: f64,
    name: &'a str,
    fields: &'a str,
}

/// `  kexec-123  [001] .....  12.345678: load: (function+0x0/0x60) nr=7 …`
fn event(line: &str) -> Option<Event<'_>> {
    let (task, rest) = line.split_once(" [")?;
    let (head, rest) = rest.split_once(": ")?;
    let (name, rest) = rest.split_once(": ")?;
    let at_s = head.rsplit(' ').next()?.parse().ok()?;
    let (_, fields) = rest.split_once(')')?;
    Some(Event { task: task.trim(), at_s, name, fields })
}

fn field<'a>(fields: &'a str, name: &str) -> Option<&'a str> {
    fields.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# tracer: nop
#
  kexec-97       [000] ..... 31.500000: load: (__x64_sys_kexec_load+0x0/0x60) nr=2 b0=100 b1=7 b2=(fault)
  kworker/u6:1-3 [001] ..... 31.600000: update: (crash_handle_hotplug_event+0x0/0x1c0)
  kexec-97       [000] ..... 31.750000: load_end: (do_syscall_64+0x3b/0x90 <- __x64_sys_kexec_load) result=0
  kworker/u6:1-3 [001] ..... 31.850000: update_end: (crash_online+0x3b/0x90 <- crash_handle_hotplug_event)
  kexec-98       [000] ..... 32.000000: load: (__x64_sys_kexec_load+0x0/0x60) nr=0 b0=(fault)
  kexec-98       [000] ..... 32.100000: load_end: (do_syscall_64+0x3b/0x90 <- __x64_sys_kexec_load) result=-16
  kworker/u6:1-3 [001] ..... 32.125000: online: (online_pages+0x0/0x2a0)
  kworker/u6:1-3 [001] ..... 32.150000: online_end: (memory_block_change_state+0x1/0x2 <- online_pages)
  kexec-99       [000] ..... 32.200000: file: (__x64_sys_kexec_file_load+0x0/0x60) flags=0x3
  kexec-99       [000] ..... 32.300000: file_end: (do_syscall_64+0x3b/0x90 <- __x64_sys_kexec_file_load) result=0
";

    #[test]
    fn calls_have_times_segments_and_results() {
        let trace = parse(TEXT).unwrap();
        let [load, refused, unload] = trace.calls.as_slice() else { panic!("{trace:?}") };
        assert_eq!((load.began_s, load.ended_s, load.copied_bytes()), (31.5, 31.75, 107));
        assert!(load.is_load() && !load.is_unload() && unload.is_unload());
        assert!(!refused.is_load() && !refused.is_unload());
        assert_eq!(refused.result, -16);
        assert_eq!((trace.onlined, trace.updated), (vec![32.125..32.15], vec![31.6..31.85]));
    }

    #[test]
    fn a_line_that_does_not_parse_is_named() {
        assert_eq!(parse("nonsense"), Err("nonsense".into()));
        let end = TEXT.lines().nth(4).unwrap();
        assert_eq!(parse(end), Err(end.into()), "an end without a beginning");
        assert!(parse("CPU:1 [LOST 7 EVENTS]").is_err());
        assert!(parse(&TEXT.replace("flags=0x3\n", "flags=0x2\n")).is_err(), "uncounted bytes");
    }

    #[test]
    fn loads_under_way_have_begun_and_not_ended() {
        let profile =
            "  load   7     0\n  file 8  0\n  load_end   6   0\n  file_end  8 0\n  online 3 0\n";
        assert_eq!(under_way(profile), Some(1));
        assert_eq!(under_way(&profile.replace("  load  ", "  lord  ")), None);
        assert_eq!(under_way(""), None);
    }
}
