//! What the kernel's own probes have seen of kexec_load(2), of kexec_file_load(2), of memory that came, and of its updates of the
//! elfcorehdr: a text of tracefs, taken apart.

use std::collections::BTreeMap;
use std::fmt::Write;

/// Segments that kexec_load(2) takes at most (`KEXEC_SEGMENT_MAX`, include/linux/kexec.h).
const SEGMENTS: usize = 16;
/// Of `struct kexec_segment` (include/uapi/linux/kexec.h): its size, and where `bufsz` and `memsz` are.
const SEGMENT_LEN: usize = 32;
const BUFSZ_AT: usize = 8;
const MEMSZ_AT: usize = 24;
/// Where the registers of a system call's arguments are (`struct pt_regs`, arch/x86/include/asm/ptrace.h): kexec_load(2)'s number of
/// segments, their list and its flags; kexec_file_load(2)'s flags.
const SI_AT: usize = 104;
const DX_AT: usize = 96;
const R10_AT: usize = 56;
const R8_AT: usize = 72;
/// kexec_file_load(2) without files: unload (`KEXEC_FILE_UNLOAD`, include/uapi/linux/kexec.h).
const FILE_UNLOAD: u64 = 1;

/// The probes of the system calls and of `online_pages` (mm/memory_hotplug.c), which brings memory online and tells everybody, in the
/// language of Documentation/trace/kprobetrace.rst. A system call's function is given the registers of user space; kexec_load(2)'s list of
/// segments still lies there.
pub fn probes() -> Vec<String> {
    let mut call = format!("p:load __x64_sys_kexec_load nr=+{SI_AT}(%di):u64 flags=+{R10_AT}(%di):x64");
    for segment in 0..SEGMENTS {
        let field = |at: usize| format!("+u{}(+{DX_AT}(%di)):u64", segment * SEGMENT_LEN + at);
        let _ = write!(call, " b{segment}={} m{segment}={}", field(BUFSZ_AT), field(MEMSZ_AT));
    }
    let file = format!("p:file __x64_sys_kexec_file_load flags=+{R8_AT}(%di):x64");
    let ends = ["r:load_end __x64_sys_kexec_load result=$retval:s64", "r:file_end __x64_sys_kexec_file_load result=$retval:s64"];
    [call, file].into_iter().chain(ends.map(str::to_owned)).chain(["r:online online_pages".to_owned()]).collect()
}

/// The probes of the kernel's own updates (`crash_handle_hotplug_event`, kernel/crash_core.c), which kernels before 6.6 do not have.
pub const UPDATE_FUNCTION: &str = "crash_handle_hotplug_event";

/// See [`UPDATE_FUNCTION`].
pub fn update_probes() -> [String; 2] {
    [format!("p:update {UPDATE_FUNCTION}"), format!("r:update_end {UPDATE_FUNCTION}")]
}

/// One kexec_load(2), or a kexec_file_load(2) that unloads. Times are seconds of CLOCK_MONOTONIC.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// When it began.
    pub began_s: f64,
    /// When it ended.
    pub ended_s: f64,
    /// Its flags.
    pub flags: u64,
    /// Bytes copied and bytes in memory, segment by segment.
    pub segments: Vec<(u64, u64)>,
    /// What it returned: 0, or an error's negative number.
    pub result: i64,
}

impl Call {
    /// Whether it has put an image in place.
    pub fn is_load(&self) -> bool {
        self.result == 0 && !self.segments.is_empty()
    }

    /// Whether it has removed one.
    pub fn is_unload(&self) -> bool {
        self.result == 0 && self.segments.is_empty()
    }

    /// Bytes that it copied from user space.
    pub fn copied_bytes(&self) -> u64 {
        self.segments.iter().map(|(copied, _)| copied).sum()
    }

    /// Seconds from its beginning to its end.
    pub fn took_s(&self) -> f64 {
        self.ended_s - self.began_s
    }
}

/// All that the probes have seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace {
    /// Every kexec_load(2) that has ended, in the order of their beginnings.
    pub calls: Vec<Call>,
    /// Seconds that each update of the elfcorehdr took.
    pub updates: Vec<f64>,
    /// When each block of memory had been brought online, in order.
    pub online_s: Vec<f64>,
}

/// Takes the text of tracefs' file `trace` apart; `Err` is a line that cannot be understood.
pub fn parse(text: &str) -> Result<Trace, String> {
    let mut trace = Trace::default();
    // By the task: a task does one thing at a time.
    let mut open: BTreeMap<&str, Call> = BTreeMap::new();
    let mut updating: BTreeMap<&str, f64> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        let broken = || line.to_owned();
        let Event { task, at_s, name, fields } = event(line).ok_or_else(broken)?;
        match name {
            "load" => {
                let count: usize = field(fields, "nr").and_then(|nr| nr.parse().ok()).ok_or_else(broken)?;
                let flags = field(fields, "flags").and_then(hexadecimal).ok_or_else(broken)?;
                let number = |name: String| field(fields, &name)?.parse::<u64>().ok();
                let segments = (0..count.min(SEGMENTS)).map(|n| Some((number(format!("b{n}"))?, number(format!("m{n}"))?)));
                let segments = segments.collect::<Option<_>>().ok_or_else(broken)?;
                open.insert(task, Call { began_s: at_s, ended_s: at_s, flags, segments, result: 0 });
            }
            "file" => {
                let flags = field(fields, "flags").and_then(hexadecimal).ok_or_else(broken)?;
                // What the kernel copies then is in no argument, so it could not be counted.
                if flags & FILE_UNLOAD == 0 {
                    return Err(broken());
                }
                open.insert(task, Call { began_s: at_s, ended_s: at_s, flags, segments: Vec::new(), result: 0 });
            }
            "online" => trace.online_s.push(at_s),
            "load_end" | "file_end" => {
                let mut call = open.remove(task).ok_or_else(broken)?;
                call.ended_s = at_s;
                call.result = field(fields, "result").and_then(|result| result.parse().ok()).ok_or_else(broken)?;
                trace.calls.push(call);
            }
            "update" => drop(updating.insert(task, at_s)),
            "update_end" => trace.updates.push(at_s - updating.remove(task).ok_or_else(broken)?),
            _ => return Err(broken()),
        }
    }
    trace.calls.sort_by(|one, other| one.began_s.total_cmp(&other.began_s));
    Ok(trace)
}

/// How many kexec_load(2)s and kexec_file_load(2)s were under way, by the text of tracefs' file `kprobe_profile`: so many have begun and not
/// ended. None when it cannot be understood.
pub fn under_way(profile: &str) -> Option<u64> {
    let hits = |name: &str| -> Option<u64> {
        let mut words =
            profile.lines().map(str::split_whitespace).find_map(|mut words| (words.next()? == name).then_some(words))?;
        words.next()?.parse().ok()
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

fn hexadecimal(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# tracer: nop
#
           kexec-97      [000] .....    31.500000: load: (__x64_sys_kexec_load+0x0/0x60) nr=2 flags=0x3e0001 b0=100 m0=4096 b1=7 m1=8192 b2=(fault) m2=(fault)
  kworker/u6:1-33      [001] .....    31.600000: update: (crash_handle_hotplug_event+0x0/0x1c0)
           kexec-97      [000] .....    31.750000: load_end: (do_syscall_64+0x3b/0x90 <- __x64_sys_kexec_load) result=0
  kworker/u6:1-33      [001] .....    31.850000: update_end: (crash_online+0x3b/0x90 <- crash_handle_hotplug_event) 
           kexec-98      [000] .....    32.000000: load: (__x64_sys_kexec_load+0x0/0x60) nr=0 flags=0x3e0001 b0=(fault) m0=(fault)
           kexec-98      [000] .....    32.100000: load_end: (do_syscall_64+0x3b/0x90 <- __x64_sys_kexec_load) result=-16
  kworker/u6:1-33      [001] .....    32.150000: online: (memory_block_change_state+0x1/0x2 <- online_pages)
           kexec-99      [000] .....    32.200000: file: (__x64_sys_kexec_file_load+0x0/0x60) flags=0x3
           kexec-99      [000] .....    32.300000: file_end: (do_syscall_64+0x3b/0x90 <- __x64_sys_kexec_file_load) result=0
";

    #[test]
    fn calls_are_read_with_their_times_segments_and_results() {
        let trace = parse(TEXT).unwrap();
        let [load, refused, unload] = trace.calls.as_slice() else { panic!("{trace:?}") };
        assert_eq!((load.began_s, load.ended_s, load.copied_bytes()), (31.5, 31.75, 107));
        assert!(load.is_load() && !load.is_unload());
        assert_eq!(load.segments, [(100, 4096), (7, 8192)]);
        assert!(!refused.is_load() && !refused.is_unload());
        assert_eq!(refused.result, -16);
        assert!(unload.is_unload());
        assert_eq!(trace.online_s, [32.15]);
    }

    #[test]
    fn updates_are_as_long_as_from_their_beginning_to_their_end() {
        let updates = parse(TEXT).unwrap().updates;
        assert!(updates.len() == 1 && (updates[0] - 0.25).abs() < 1e-9, "{updates:?}");
    }

    #[test]
    fn lines_that_cannot_be_understood_are_named() {
        assert_eq!(parse("nonsense"), Err("nonsense".into()));
        let end = TEXT.lines().nth(4).unwrap();
        assert_eq!(parse(end), Err(end.into()), "an end without a beginning");
        assert!(parse("CPU:1 [LOST 7 EVENTS]").is_err());
        assert!(parse(&TEXT.replace("flags=0x3\n", "flags=0x2\n")).is_err(), "bytes that nobody counts");
    }

    #[test]
    fn loads_under_way_have_begun_and_not_ended() {
        let profile = "  load            7     0\n  file     8  0\n  load_end   6   0\n  file_end  8 0\n  online 3 0\n";
        assert_eq!(under_way(profile), Some(1));
        assert_eq!(under_way(&profile.replace("  load  ", "  lord  ")), None);
        assert_eq!(under_way(""), None);
    }

    #[test]
    fn probes_ask_for_every_segment() {
        let call = probes().remove(0);
        assert!(call.contains("b0=+u8(+96(%di)):u64") && call.contains("m15=+u504(+96(%di)):u64"), "{call}");
    }
}
