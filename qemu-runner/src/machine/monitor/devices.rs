//! Devices that come and go: DIMMs, CPUs and the memory of virtio-mem. A guest may refuse.

use std::time::Duration;

use serde_json::{Value, json};

use super::Monitor;
use crate::error::{Error, check_eq};
use crate::machine::VIRTIO_MEM;

/// `_OST` status "success" (ACPI specification, "_OST (OSPM Status Indication)").
const OST_SUCCESS: i64 = 0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    Taken,
    Returned,
    /// It will not take it, or not give it back.
    Refused,
}

/// What an event says of the device `id`. A guest that gives a device back reports other statuses
/// on the way, none of which is the end.
fn said_of(id: &str, event: &Value) -> Option<Said> {
    let data = &event["data"];
    match event["event"].as_str()? {
        "ACPI_DEVICE_OST" if data["info"]["device"] == id => {
            (data["info"]["status"] == OST_SUCCESS).then_some(Said::Taken)
        }
        "DEVICE_DELETED" if data["device"] == id => Some(Said::Returned),
        "DEVICE_UNPLUG_GUEST_ERROR" if data["device"] == id => Some(Said::Refused),
        _ => None,
    }
}

impl Monitor {
    /// Plugs in the memory backend `dimm{number}` and waits until the guest has taken it.
    pub fn add_dimm(&mut self, number: u32) -> Result<(), Error> {
        let memdev = format!("dimm{number}");
        self.add_device(
            &format!("plugged-dimm{number}"),
            json!({"driver": "pc-dimm", "memdev": memdev}),
        )
    }

    /// Begins to plug in the memory backend `dimm{number}` at a physical address, as `id`, and does
    /// not wait.
    pub fn begin_dimm(&mut self, id: &str, number: u32, address: u64) -> Result<(), Error> {
        let memdev = format!("dimm{number}");
        self.begin_device(id, json!({"driver": "pc-dimm", "memdev": memdev, "addr": address}))
    }

    /// Begins to plug in the first CPU that is absent yet, as `id`, and does not wait.
    pub fn begin_cpu(&mut self, id: &str) -> Result<(), Error> {
        let device = self.free_cpu()?;
        self.begin_device(id, device)
    }

    /// Asks the guest to give a device back, and does not wait.
    pub fn begin_removal(&mut self, id: &str) -> Result<(), Error> {
        self.execute("device_del", json!({"id": id})).map(drop)
    }

    /// Whether the DIMM of this identifier is plugged in.
    pub fn has_dimm(&mut self, id: &str) -> Result<bool, Error> {
        let devices = self.execute("query-memory-devices", json!({}))?;
        Ok(devices.as_array().into_iter().flatten().any(|device| device["data"]["id"] == id))
    }

    /// What the guest has said of the device last, after waiting for a further event, `pause` at
    /// most.
    pub fn said_of(&mut self, id: &str, pause: Duration) -> Result<Option<Said>, Error> {
        self.read(pause)?;
        // The last word counts: a device that was taken may have been given back.
        Ok(self.seen.iter().rev().find_map(|event| said_of(id, event)))
    }

    /// Plugs in the first CPU that is absent yet and waits until the guest has taken it.
    pub fn add_cpu(&mut self) -> Result<(), Error> {
        let device = self.free_cpu()?;
        self.add_device("plugged-cpu", device)
    }

    /// The first place for a CPU that has none, as arguments of `device_add`.
    fn free_cpu(&mut self) -> Result<Value, Error> {
        let places = self.execute("query-hotpluggable-cpus", json!({}))?;
        // The list is in descending order of the socket; Linux numbers CPUs as they come.
        let mut places = places.as_array().into_iter().flatten().rev();
        let free = places.find(|place| place.get("qom-path").is_none());
        let free = free.ok_or_else(|| Error::Failed("there is no free place for a CPU".into()))?;
        let mut device = free["props"].clone();
        device["driver"] = free["type"].clone();
        Ok(device)
    }

    /// Asks the guest to give the CPU back that was plugged in last; whether it does is for the
    /// guest to say.
    pub fn ask_for_cpu(&mut self) -> Result<(), Error> {
        self.begin_removal("plugged-cpu")
    }

    /// Asks the guest to give a DIMM back; whether it does is for the guest to say.
    pub fn ask_for_dimm(&mut self, number: u32) -> Result<(), Error> {
        self.begin_removal(&format!("plugged-dimm{number}"))
    }

    /// The same, and waits until the guest has given it back.
    pub fn remove_dimm(&mut self, number: u32) -> Result<(), Error> {
        let id = format!("plugged-dimm{number}");
        self.begin_removal(&id)?;
        self.await_event("the guest to give a DIMM back", |event| {
            (said_of(&id, event) == Some(Said::Returned)).then_some(())
        })
    }

    /// Tells the device for virtio-mem how large it shall be, and waits until the guest has made it
    /// so.
    pub fn resize_virtio_mem(&mut self, bytes: u64) -> Result<(), Error> {
        // What it was before may have been the same.
        self.forget("MEMORY_DEVICE_SIZE_CHANGE");
        self.begin_resize(bytes)?;
        self.await_event("the guest to resize virtio-mem", |event| {
            let resized = event["event"] == "MEMORY_DEVICE_SIZE_CHANGE";
            (resized && event["data"]["size"] == bytes).then_some(())
        })
    }

    /// Tells the device for virtio-mem how large it shall be, and does not wait.
    pub fn begin_resize(&mut self, bytes: u64) -> Result<(), Error> {
        let wanted = json!({"path": VIRTIO_MEM, "property": "requested-size", "value": bytes});
        self.execute("qom-set", wanted).map(drop)
    }

    /// Plugs in a device and waits for the guest's firmware-level answer, which Linux gives when it
    /// has finished with it.
    fn add_device(&mut self, id: &str, device: Value) -> Result<(), Error> {
        self.begin_device(id, device)?;
        let status = self.await_event("the guest to take the device", |event| {
            let info = &event["data"]["info"];
            info["status"].as_i64().filter(|_| info["device"] == id)
        })?;
        check_eq!(status, OST_SUCCESS, "status that the guest gave for {id}")
    }

    fn begin_device(&mut self, id: &str, mut device: Value) -> Result<(), Error> {
        device["id"] = id.into();
        self.execute("device_add", device).map(drop)
    }
}
