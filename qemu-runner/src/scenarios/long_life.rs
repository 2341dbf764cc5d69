//! `long-life`: a day in the life of an image. A month of it is `cargo lab long-life`.

use crate::long_life;
use crate::scenario::table;

/// Devices that come or go.
const EVENTS: u32 = 30;
/// Reloads, each of which replaces the image.
const RELOADS: u32 = 10;

table! {
    "long-life", [Kernel("6.12"), Storm, CrashHotplug, Hotplug],
        |stage| long_life::both(stage, EVENTS, RELOADS),
        "after 30 devices came or went the elfcorehdr is, byte for byte, that of a fresh image; \
         then reloads while the clock jumps and /var is full leave an image that saves a dump";
}
