//! The boot parameters of the example machine, with what a test changes.

use super::*;

pub(super) const AT: u64 = 0x3000_0000;

pub(super) fn range(start: u64, end: u64) -> PhysRange {
    PhysRange::new(start, end).unwrap()
}

/// A setup header in which every byte depends on its offset.
pub(super) fn header() -> Vec<u8> {
    (0x1f1..0x26cu16).map(|at| at as u8).collect()
}

pub(super) fn kernel(setup_header: &[u8]) -> CaptureKernel<'_> {
    CaptureKernel {
        file: &[],
        setup_header: setup_header.into(),
        payload: (&[]).into(),
        init_size: 0x37d_e000,
        alignment: 0x20_0000,
        pref_address: 0x100_0000,
        cmdline_size: 2047,
        version: 0x020f,
        xloadflags: 0x7f,
        entry_offset: 0x200,
    }
}

/// The example's segment, with whatever the test changes.
pub(super) fn built(
    change: impl FnOnce(&mut Machine, &mut Request, &mut CaptureKernel<'_>, &mut Places),
) -> Result<Vec<u8>, Error> {
    let header = header();
    let (mut machine, mut request, mut kernel) = (example::machine(), request(), kernel(&header));
    let mut places = Places {
        at: AT,
        command_line: range(0x3100_0000, 0x3100_0800),
        initrd: Some(range(0x3200_0000, 0x3212_3456)),
        elfcorehdr: range(0x2f00_0000, 0x2f0e_1000),
        crash_region: range(0x2f00_0000, 0x3b00_0000),
    };
    change(&mut machine, &mut request, &mut kernel, &mut places);
    let Places { at, command_line, initrd, elfcorehdr, crash_region } = places;
    let inputs = Inputs {
        machine: &machine,
        request: &request,
        kernel: &kernel,
        at,
        command_line,
        initrd,
        elfcorehdr,
        crash_region,
        black_box: &[],
    };
    let bytes = build(&inputs)?;
    assert!(bytes.len() as u64 <= segment_len(&machine, &request), "{:#x} bytes", bytes.len());
    Ok(bytes)
}

pub(super) struct Places {
    pub(super) at: u64,
    pub(super) command_line: PhysRange,
    pub(super) initrd: Option<PhysRange>,
    pub(super) elfcorehdr: PhysRange,
    pub(super) crash_region: PhysRange,
}

pub(super) fn params(bytes: &[u8]) -> &BootParams {
    BootParams::ref_from_prefix(bytes).unwrap().0
}

/// The list of setup_data as a kernel walks it: type and data.
pub(super) fn nodes(bytes: &[u8], at: u64) -> Vec<(u32, &[u8])> {
    let mut nodes = Vec::new();
    let mut next = params(bytes).hdr.setup_data.get();
    while next != 0 {
        assert!(next.is_multiple_of(16), "a node at {next:#x}");
        let (node, data) = SetupData::ref_from_prefix(&bytes[(next - at) as usize..]).unwrap();
        nodes.push((node.kind.get(), &data[..node.len.get() as usize]));
        next = node.next.get();
    }
    nodes
}
