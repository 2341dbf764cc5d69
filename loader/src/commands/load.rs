//! `kdump-loader load`: build an image and arm it.

use std::path::Path;

use loader::image::Summary;
use loader::machine::{KexecState, Machine};
use loader::record::Record;
use loader::{preflight, submit};
use serde::Serialize;

use super::{Aftermath, Error, LIVE, advise, forget, fresh_seed, in_full, mib, print_json, request, say, turn};
use crate::cli::Load;

/// What `load --json` prints.
#[derive(Serialize)]
struct Output<'a> {
    /// Whether the kernel keeps the elfcorehdr current.
    hotplug: bool,
    #[serde(flatten)]
    image: &'a Summary,
}

/// Checks, builds, arms, records, in this order.
pub fn run(arguments: &Load) -> Result<(), Error> {
    let root = Path::new(LIVE);
    preflight::privileged(root)?;
    let machine = Machine::read(root, Some(submit::measure_tsc_khz()))?;
    preflight::permitted(root, &machine.kexec)?;
    let request = request(&arguments.image, &machine, fresh_seed()?)?;
    advise(&request, &machine);
    let image = loader::build(&request, &machine)?;

    let _turn = turn(root);
    let armed =
        submit::load(&image, request.hotplug).map_err(|refusal| Error::Refused { refusal, aftermath: aftermath(root) })?;

    let summary = image.summary();
    let initrd = request.initrd.as_ref().map(|initrd| initrd.path.as_path());
    let written = Record::new(root, summary.clone(), &request.kernel.path, initrd, armed.hotplug);
    if let Err(error) = written.and_then(|record| record.write(root)) {
        say(format_args!("the image is armed, but `status` will not know it: {}", in_full(&error)));
        forget(root);
    }
    let (used, region) = (summary.used(), summary.crash_region.len);
    say(format_args!("armed {}: {} of the crash region's {} are used", summary.identity, mib(used), mib(region)));
    match (request.hotplug, armed.hotplug) {
        (true, false) => say(format_args!(
            "this kernel does not keep the image current when CPUs or memory come and go (Linux 6.6 and newer do): load again after each"
        )),
        (false, _) => say(format_args!("load again after CPUs or memory come or go, as --no-hotplug asks")),
        (true, true) => {}
    }
    if arguments.json { print_json(&Output { hotplug: armed.hotplug, image: &summary }) } else { Ok(()) }
}

/// Asks the kernel, and forgets the record of an image that is gone.
fn aftermath(root: &Path) -> Aftermath {
    match KexecState::read(root).map(|state| state.crash_loaded) {
        Ok(true) => Aftermath::StillArmed,
        Ok(false) => {
            forget(root);
            Aftermath::Disarmed
        }
        Err(_) => Aftermath::Unknown,
    }
}
