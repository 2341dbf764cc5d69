//! `[6]` The content of the segments: first the parts that need no address, then, once everything
//! is placed, the parts that do.
//!
//! *On entry*
//! * the request and the machine.
//!
//! *On exit*
//! * the final bytes of every segment except the purgatory's.

pub mod bootparams;
pub mod elfcorehdr;
pub mod listing; // what an elfcorehdr lists, read back

use std::borrow::Cow;

use handoff::PAGE_SIZE;

use crate::Error;
use crate::cmdline::{self, CommandLine};
use crate::image::{Segment, SegmentKind};
use crate::kernel::{self, CaptureKernel};
use crate::machine::Machine;
use crate::machine::printk::{PrintkRing, Unresolved};
use crate::phys::{PhysRange, align_up};
use crate::place::black_box::{self, Reserved};
use crate::place::room::{self, Room};
use crate::place::{self, KernelNeeds, Needs, Placed};
use crate::purgatory::{Lengths, Purgatory};
use crate::request::Request;

/// Everything that needs no address, and every size.
#[derive(Debug)]
pub(crate) struct Parsed<'r, P: Purgatory> {
    request: &'r Request,
    kernel: CaptureKernel<'r>,
    purgatory: P,
    settings: P::Settings,
    command_line: CommandLine,
    elfcorehdr: Vec<u8>,
    crash_region: PhysRange,
    room: PhysRange,
    needs: Needs,
}

/// The content of every segment except the purgatory's.
#[derive(Debug)]
pub(crate) struct Described<'r, P: Purgatory> {
    parsed: Parsed<'r, P>,
    placed: Placed,
    black_box: Reserved,
    kernel_log: Result<PrintkRing, Unresolved>,
    boot_params: Vec<u8>,
}

impl<'r, P: Purgatory> Parsed<'r, P> {
    /// Parses the files, composes the parts that need no address, and adds up the sizes.
    pub fn new(purgatory: P, request: &'r Request, machine: &Machine) -> Result<Self, Error> {
        let settings = purgatory.settings(request, machine)?;
        let kernel = kernel::parse(&request.kernel)?;
        if let Some(initrd) = request.initrd.as_ref().filter(|initrd| initrd.bytes.is_empty()) {
            return Err(Error::EmptyInitrd { path: initrd.path.clone() });
        }
        let crash_region = machine.crash_region()?;
        let room = room(crash_region, request.window)?;
        // The elfcorehdr is placed first, at the start of the room, so its address is known before
        // any size. Without EFI tables on an EFI machine, kernels that do not know
        // `boot_params.acpi_rsdp_addr` need `acpi_rsdp=`.
        let without_efi =
            machine.efi.is_some() && !bootparams::passes_efi(machine, request, &kernel);
        let acpi_rsdp = bootparams::acpi_rsdp(machine).filter(|_| without_efi);
        let command_line = cmdline::compose(
            &request.command_line.line,
            kernel.cmdline_size,
            room.start(),
            acpi_rsdp,
            P::REPORTS,
        )?;
        let elfcorehdr = elfcorehdr::build(machine)?;
        let initrd = request.initrd.as_ref().map(|initrd| initrd.bytes.len() as u64);
        let boot_params = bootparams::segment_len(machine, request);

        let lengths = Lengths {
            kernel: kernel.payload.len() as u64,
            initrd: initrd.unwrap_or(0),
            boot_params,
            command_line: command_line.bytes.len() as u64,
            elfcorehdr: elfcorehdr.len() as u64,
        };
        let needs = Needs {
            elfcorehdr: elfcorehdr::segment_len(machine, request.hotplug).max(lengths.elfcorehdr),
            hole: place::hole_for(machine),
            kernel: KernelNeeds {
                len: kernel.init_size,
                alignment: kernel.alignment,
                pref_address: kernel.pref_address,
            },
            initrd,
            boot_params,
            command_line: lengths.command_line,
            purgatory: purgatory.needs(&settings, &lengths),
        };
        Ok(Self {
            request,
            kernel,
            purgatory,
            settings,
            command_line,
            elfcorehdr,
            crash_region,
            room,
            needs,
        })
    }

    /// Every size.
    pub fn needs(&self) -> &Needs {
        &self.needs
    }

    /// The range for the image: the crash region, or its part inside the requested window.
    pub fn room(&self) -> PhysRange {
        self.room
    }

    /// The memory of the black box, if the request asks for one and the purgatory writes it.
    pub fn reserve(&self, placed: &Placed, machine: &Machine) -> Reserved {
        if self.request.black_box.is_none() || !P::KEEPS_BLACK_BOX {
            return Reserved::default();
        }
        let initrd = self.request.initrd.as_ref().map_or(&[][..], |initrd| &initrd.bytes);
        let cpus = cmdline::cpu_limit(&self.request.command_line.line).unwrap_or(u32::MAX);
        let run = Room::needed(
            kernel::release(&self.request.kernel).as_deref(),
            room::about_unpacked(initrd),
            cpus.min(machine.possible_cpus),
        );
        let needs = black_box::Needs {
            log_copy: machine.printk.as_ref().ok().map(PrintkRing::copy_len),
            room_to_run: run.safe,
        };
        black_box::reserve(&needs, placed, self.crash_region)
    }

    /// Makes the parts that need addresses.
    pub fn describe(
        self,
        placed: Placed,
        black_box: Reserved,
        machine: &Machine,
    ) -> Result<Described<'r, P>, Error> {
        // The window limits the image only. The capture kernel gets the whole crash region.
        let placed = Placed { crash_region: self.crash_region, ..placed };
        let boot_params = bootparams::build(&bootparams::Inputs {
            machine,
            request: self.request,
            kernel: &self.kernel,
            at: placed.boot_params.start(),
            command_line: placed.command_line,
            initrd: self.initrd_range(&placed),
            elfcorehdr: placed.elfcorehdr,
            crash_region: placed.crash_region,
            black_box: &black_box.ranges().collect::<Vec<_>>(),
        })?;
        let kernel_log = machine.printk.clone();
        Ok(Described { parsed: self, placed, black_box, kernel_log, boot_params })
    }

    /// The initrd's range for the capture kernel: its bytes, not its pages.
    fn initrd_range(&self, placed: &Placed) -> Option<PhysRange> {
        PhysRange::with_len(placed.initrd?.start(), self.needs.initrd?)
    }
}

/// The whole pages of the crash region that are inside the window.
fn room(crash_region: PhysRange, window: Option<PhysRange>) -> Result<PhysRange, Error> {
    let Some(window) = window else { return Ok(crash_region) };
    let common = crash_region.intersection(window).and_then(|common| {
        let start = align_up(common.start(), PAGE_SIZE)?;
        PhysRange::new(start, common.end() / PAGE_SIZE * PAGE_SIZE)
            .filter(|range| !range.is_empty())
    });
    common.ok_or(Error::Window { window, crash_region })
}

impl<'r, P: Purgatory> Described<'r, P> {
    /// The range of every segment.
    pub fn placed(&self) -> &Placed {
        &self.placed
    }

    /// The memory of the black box.
    pub fn black_box(&self) -> &Reserved {
        &self.black_box
    }

    /// The memory of the kernel log, or why it is unknown.
    pub fn kernel_log(&self) -> Result<PrintkRing, &Unresolved> {
        self.kernel_log.as_ref().copied()
    }

    /// The request.
    pub fn request(&self) -> &'r Request {
        self.parsed.request
    }

    /// The capture kernel.
    pub fn kernel(&self) -> &CaptureKernel<'r> {
        &self.parsed.kernel
    }

    /// The initial RAM disk.
    pub fn initrd(&self) -> Option<&'r [u8]> {
        self.parsed.request.initrd.as_ref().map(|initrd| initrd.bytes.as_slice())
    }

    /// boot_params and setup_data.
    pub fn boot_params(&self) -> &[u8] {
        &self.boot_params
    }

    /// The command line.
    pub fn command_line(&self) -> &CommandLine {
        &self.parsed.command_line
    }

    /// The parameters that were dropped from the reused command line, as text.
    pub fn dropped(&self) -> Vec<String> {
        self.parsed.request.command_line.dropped_text()
    }

    /// The elfcorehdr as it is at load.
    pub fn elfcorehdr(&self) -> &[u8] {
        &self.parsed.elfcorehdr
    }

    /// Every segment except the purgatory's, in ascending order.
    pub fn segments(&self) -> Vec<Segment<'r>> {
        let placed = self.placed;
        let segments = [
            Some((
                SegmentKind::Elfcorehdr,
                placed.elfcorehdr,
                Cow::Owned(self.elfcorehdr().to_vec()),
            )),
            Some((SegmentKind::Kernel, placed.kernel, self.kernel().payload.clone())),
            self.initrd()
                .zip(placed.initrd)
                .map(|(bytes, range)| (SegmentKind::Initrd, range, Cow::Borrowed(bytes))),
            Some((
                SegmentKind::BootParams,
                placed.boot_params,
                Cow::Owned(self.boot_params().to_vec()),
            )),
            Some((
                SegmentKind::CommandLine,
                placed.command_line,
                Cow::Owned(self.command_line().bytes.clone()),
            )),
        ];
        segments
            .into_iter()
            .flatten()
            .map(|(kind, range, bytes)| Segment::new(kind, range, bytes))
            .collect()
    }

    /// The purgatory.
    pub fn purgatory(&self) -> &P {
        &self.parsed.purgatory
    }

    /// The purgatory's configuration.
    pub fn settings(&self) -> &P::Settings {
        &self.parsed.settings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::example::machine;
    use crate::request;

    fn windowed(start: u64, end: u64) -> Result<crate::image::Summary, Error> {
        let request = Request { window: PhysRange::new(start, end), ..request::example() };
        crate::build(&request, &machine()).map(|image| image.summary())
    }

    #[test]
    fn window_keeps_the_image_in_and_leaves_the_capture_kernel_the_whole_region() {
        let region = machine().crash_region().unwrap();
        let summary = windowed(0x3000_0001, 0x3100_0000).unwrap();
        assert_eq!(summary.segments[0].start, 0x3000_1000, "a whole page");
        assert!(summary.segments.iter().all(|segment| segment.start + segment.len <= 0x3100_0000));
        assert!(summary.command_line.contains("elfcorehdr=0x30001000"), "{}", summary.command_line);
        assert_eq!(
            (summary.crash_region.start, summary.crash_region.len),
            (region.start(), region.len())
        );
    }

    #[test]
    fn window_that_is_too_small_or_elsewhere_is_refused() {
        assert!(matches!(
            windowed(0x3000_0000, 0x3010_0000),
            Err(Error::Place(place::Error::RegionTooSmall { .. }))
        ));
        for (start, end) in [(0, 0x1000_0000), (0x3000_0001, 0x3000_1fff)] {
            let message = windowed(start, end).unwrap_err().to_string();
            assert!(message.contains("crash region"), "{message}");
        }
    }
}
