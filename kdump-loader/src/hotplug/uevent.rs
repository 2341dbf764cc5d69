//! Parses the kernel's device events: datagrams of a netlink socket, NETLINK_KOBJECT_UEVENT, in the
//! kernel's multicast group (`kobject_uevent_net_broadcast`, lib/kobject_uevent.c).
//!
//! *On entry* a datagram: `ACTION@DEVPATH` and `KEY=VALUE` pairs, each followed by a NUL. *On exit*
//! an event of a CPU or memory block, or nothing for other devices and for messages of udev, which
//! have another format.

use serde::Serialize;

/// The multicast group of the kernel; udev's own is 2.
pub const KERNELS_GROUP: u32 = 1;

/// An event of a CPU or memory block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Uevent {
    /// `cpu` or `memory`.
    pub subsystem: String,
    /// `add`, `remove`, `online` or `offline`.
    pub action: String,
    /// The kernel's name of the device, such as `cpu3` or `memory42`.
    pub device: String,
}

impl Uevent {
    /// Reads a datagram.
    pub fn parse(datagram: &[u8]) -> Option<Self> {
        let mut parts = datagram.split(|&byte| byte == 0).map(|part| str::from_utf8(part).ok());
        let (action, path) = parts.next()??.split_once('@')?;
        let subsystem = parts.flatten().find_map(|pair| pair.strip_prefix("SUBSYSTEM="))?;
        let device = path.rsplit('/').next().filter(|name| !name.is_empty())?;
        let ours = matches!(subsystem, "cpu" | "memory") && !action.is_empty();
        ours.then(|| Self {
            subsystem: subsystem.to_owned(),
            action: action.to_owned(),
            device: device.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(datagram: &str) -> Option<(String, String, String)> {
        let event = Uevent::parse(datagram.as_bytes())?;
        Some((event.subsystem, event.action, event.device))
    }

    #[test]
    fn cpus_and_memory_blocks_are_named() {
        let path = "/devices/system/memory/memory32";
        let memory =
            format!("offline@{path}\0ACTION=offline\0DEVPATH={path}\0SUBSYSTEM=memory\0SEQNUM=1\0");
        assert_eq!(parse(&memory), Some(("memory".into(), "offline".into(), "memory32".into())));
        let cpu = "add@/devices/system/cpu/cpu3\0ACTION=add\0SUBSYSTEM=cpu\0";
        assert_eq!(parse(cpu), Some(("cpu".into(), "add".into(), "cpu3".into())));
    }

    #[test]
    fn events_of_other_devices_are_ignored() {
        for other in [
            "",
            "add@/devices/pci0000:00/0000:00:01.0\0ACTION=add\0SUBSYSTEM=pci\0",
            "add@/devices/system/cpu/cpu3\0ACTION=add\0",
            "libudev\0\u{1}\0SUBSYSTEM=cpu\0",
            "@/devices/system/cpu/cpu3\0SUBSYSTEM=cpu\0",
            "add@/devices/system/cpu/\0SUBSYSTEM=cpu\0",
        ] {
            assert_eq!(parse(other), None, "{other:?}");
        }
        assert_eq!(Uevent::parse(b"add@/devices/system/cpu/cpu\xff\0SUBSYSTEM=cpu\0"), None);
    }
}
