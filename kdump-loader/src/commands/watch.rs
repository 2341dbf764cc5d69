//! `kdump-loader watch`: prints changes of CPUs, memory and the armed image as they happen.
//!
//! The kernel sends events about devices, but none about arming, so the state is polled every
//! [`LOOK`]. Whether the kernel updates the image is read only after a change: reading it takes the
//! kernel's kexec lock, and a panic while it is held leaves no dump.

use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use loader::machine::{CrashHotplug, KexecState};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::netlink::{KOBJECT_UEVENT, SocketAddrNetlink};
use rustix::net::sockopt::set_socket_recv_buffer_size_force;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};
use serde::Serialize;
use signal_hook::consts::{SIGINT, SIGTERM};

use super::{Error, JSON_VERSION, LIVE};
use crate::cli::Watch;
use crate::hotplug::uevent::{KERNELS_GROUP, Uevent};

/// Pause between two checks of the armed image.
const LOOK: Duration = Duration::from_millis(100);
/// The longest datagram (`UEVENT_BUFFER_SIZE`, include/linux/kobject.h, and the line before it).
const LONGEST: usize = 8192;
/// Receive buffer, with room for several thousand events.
const BUFFER: usize = 4 << 20;

/// Something that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Change {
    /// A CPU or a memory block.
    Device(Uevent),
    /// An image was armed. The first such line is the state at the start.
    Armed,
    /// The image was disarmed. The first such line is the state at the start.
    Disarmed,
    /// Whether the kernel updates the armed image.
    CrashHotplug {
        /// When CPUs are added or removed.
        cpu: Option<bool>,
        /// When memory is added.
        memory: Option<bool>,
    },
    /// The kernel dropped events, because this program did not read them in time.
    Lost,
}

impl fmt::Display for Change {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |answer: &Option<bool>| match answer {
            Some(true) => "yes",
            Some(false) => "no",
            None => "not supported by this kernel",
        };
        match self {
            Self::Device(Uevent { action, device, .. }) => write!(out, "{device} {action}"),
            Self::Armed => write!(out, "armed"),
            Self::Disarmed => write!(out, "nothing armed"),
            Self::CrashHotplug { cpu, memory } => {
                write!(
                    out,
                    "kernel updates when CPUs change: {}; when memory is added: {}",
                    shown(cpu),
                    shown(memory)
                )
            }
            Self::Lost => write!(out, "events were lost: too many at once"),
        }
    }
}

/// A line of `watch --json`.
#[derive(Serialize)]
pub(super) struct Line<'a> {
    pub version: u32,
    /// Milliseconds since 1970.
    pub at_ms: u64,
    #[serde(flatten)]
    pub change: &'a Change,
}

/// Prints until a signal arrives or the reader closes standard output.
pub fn run(arguments: &Watch) -> Result<(), Error> {
    let failed = |source: io::Error| Error::Watch { source };
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).map_err(failed)?;
    }
    let socket = subscribe().map_err(|errno| failed(errno.into()))?;
    let mut printer = Printer { json: arguments.json, start: Instant::now() };
    let mut image = Image::default();
    let mut any_event = true;
    while !stop.load(Ordering::Relaxed) {
        for change in image.look(Path::new(LIVE), any_event)? {
            if !printer.print(&change)? {
                return Ok(());
            }
        }
        any_event = false;
        if !wait(&socket).map_err(|errno| failed(errno.into()))? {
            return Ok(());
        }
        while let Some(change) = receive(&socket).map_err(|errno| failed(errno.into()))? {
            any_event = true;
            if !printer.print(&change)? {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// A socket that receives the kernel's events.
fn subscribe() -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket =
        socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(KOBJECT_UEVENT))?;
    // Needs CAP_NET_ADMIN. Without it, a storm may lose events, which is reported.
    let _ = set_socket_recv_buffer_size_force(&socket, BUFFER);
    bind(&socket, &SocketAddrNetlink::new(0, KERNELS_GROUP))?;
    Ok(socket)
}

/// Waits up to [`LOOK`] for events. Returns false if the reader has closed standard output.
fn wait(socket: &OwnedFd) -> Result<bool, Errno> {
    let stdout = io::stdout();
    let mut ends = [
        PollFd::new(socket, PollFlags::IN),
        PollFd::from_borrowed_fd(stdout.as_fd(), PollFlags::empty()),
    ];
    let look = Timespec { tv_sec: 0, tv_nsec: LOOK.subsec_nanos().into() };
    match poll(&mut ends, Some(&look)) {
        Ok(_) => Ok(!ends[1].revents().contains(PollFlags::ERR)),
        // The signal handler has set its flag.
        Err(Errno::INTR) => Ok(true),
        Err(errno) => Err(errno),
    }
}

/// The next received event of a CPU or memory block.
fn receive(socket: &OwnedFd) -> Result<Option<Change>, Errno> {
    let mut datagram = [0; LONGEST];
    loop {
        match recv(socket, &mut datagram[..], RecvFlags::empty()) {
            Ok((len, _)) => {
                if let Some(event) = Uevent::parse(&datagram[..len]) {
                    return Ok(Some(Change::Device(event)));
                }
            }
            Err(Errno::NOBUFS) => return Ok(Some(Change::Lost)),
            Err(Errno::AGAIN) => return Ok(None),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// What is known of the armed image.
#[derive(Default)]
struct Image {
    armed: Option<bool>,
    hotplug: Option<CrashHotplug>,
}

impl Image {
    /// What has changed since the last call. `any_event` says that an event was received meanwhile.
    fn look(&mut self, root: &Path, any_event: bool) -> Result<Vec<Change>, Error> {
        let mut changes = Vec::new();
        let armed = KexecState::crash_loaded(root)?;
        let other = self.armed != Some(armed);
        if other {
            self.armed = Some(armed);
            changes.push(if armed { Change::Armed } else { Change::Disarmed });
        }
        if (other || any_event) && armed {
            let hotplug = CrashHotplug::read(root)?;
            if self.hotplug != Some(hotplug) {
                self.hotplug = Some(hotplug);
                changes.push(Change::CrashHotplug { cpu: hotplug.cpu, memory: hotplug.memory });
            }
        }
        if !armed {
            self.hotplug = None;
        }
        Ok(changes)
    }
}

/// Prints lines to standard output.
struct Printer {
    json: bool,
    start: Instant,
}

impl Printer {
    /// Prints and flushes a line. Returns false if the reader has closed standard output.
    fn print(&mut self, change: &Change) -> Result<bool, Error> {
        let line = if self.json {
            let at_ms = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_millis() as u64);
            let line = Line { version: JSON_VERSION, at_ms, change };
            serde_json::to_string(&line).expect("strings, integers and booleans always serialize")
        } else {
            format!("{:10.3} s  {change}", self.start.elapsed().as_secs_f64())
        };
        let mut stdout = io::stdout().lock();
        match writeln!(stdout, "{line}").and_then(|()| stdout.flush()) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
            Err(source) => Err(Error::Output { path: "standard output".into(), source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn change_of_armed_state_is_reported_together_with_hotplug() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let mut image = Image::default();
        write("sys/kernel/kexec_crash_loaded", "0\n");
        write("sys/devices/system/cpu/crash_hotplug", "1\n");
        assert_eq!(image.look(root.path(), true).unwrap(), [Change::Disarmed]);
        assert_eq!(image.look(root.path(), true).unwrap(), []);
        write("sys/kernel/kexec_crash_loaded", "1\n");
        let hotplug = |cpu| Change::CrashHotplug { cpu: Some(cpu), memory: None };
        assert_eq!(image.look(root.path(), false).unwrap(), [Change::Armed, hotplug(true)]);
        // Another loader arms an image that the kernel does not update. That is noticed after the
        // next event.
        write("sys/devices/system/cpu/crash_hotplug", "0\n");
        assert_eq!(image.look(root.path(), false).unwrap(), []);
        assert_eq!(image.look(root.path(), true).unwrap(), [hotplug(false)]);
    }

    #[test]
    fn each_change_is_one_json_object() {
        let event = Uevent {
            subsystem: "memory".into(),
            action: "online".into(),
            device: "memory42".into(),
        };
        let line = Line { version: 1, at_ms: 5, change: &Change::Device(event.clone()) };
        let expected = serde_json::json!({
            "version": 1, "at_ms": 5, "event": "device",
            "subsystem": "memory", "action": "online", "device": "memory42",
        });
        assert_eq!(serde_json::to_value(&line).unwrap(), expected);
        assert_eq!(Change::Device(event).to_string(), "memory42 online");
    }
}
