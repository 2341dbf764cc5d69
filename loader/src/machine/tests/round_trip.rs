//! Files as the kernel would write them for machines of any kind, read back.

use proptest::prelude::*;

use super::super::*;

/// Names in a tree of resources: all that the loader keeps lists of, and more.
const NAMES: [&str; 14] = [
    "System RAM",
    "System RAM (kmem)",
    "System RAM (virtio_mem)",
    "Crash kernel",
    "ACPI Tables",
    "ACPI Non-volatile Storage",
    "Reserved",
    "reserved",
    "Persistent Memory",
    "Persistent Memory (legacy)",
    "Kernel code",
    "PCI Bus 0000:00",
    "0000:00:02.0 : a name with what elsewhere ends a range",
    "ram",
];
/// Ranges are of whole units, so that a test can ask about each unit.
const UNIT: u64 = 0x800;
const UNITS: usize = 256;

/// A resource: where in its parent, in units, and which of [`NAMES`].
#[derive(Clone, Debug)]
struct Resource {
    start: prop::sample::Index,
    len: prop::sample::Index,
    name: usize,
    children: Vec<Resource>,
}

fn trees() -> impl Strategy<Value = Vec<Resource>> {
    let resource = |children| {
        (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..NAMES.len(), children)
            .prop_map(|(start, len, name, children)| Resource { start, len, name, children })
    };
    let leaf = resource(Just(Vec::new()).boxed());
    let tree = leaf.prop_recursive(4, 24, 4, move |inner| {
        resource(prop::collection::vec(inner, 0..4).boxed())
    });
    prop::collection::vec(tree, 1..8)
}

/// Writes `resources` as `r_show` does (kernel/resource.c), and marks the units that each list
/// should have. Siblings may overlap here, which they do not in Linux.
fn write(
    resources: &[Resource],
    base: u64,
    (from, to): (usize, usize),
    depth: usize,
    text: &mut String,
    units: &mut [[bool; UNITS]],
) {
    for Resource { start, len, name, children } in resources.iter().filter(|_| to > from) {
        let start = from + start.index(to - from);
        let end = start + 1 + len.index(to - start);
        let at = |unit: usize| base + unit as u64 * UNIT;
        let (first, last, indent) = (at(start), at(end) - 1, depth * 2);
        *text += &format!("{:indent$}{first:08x}-{last:08x} : {}\n", "", NAMES[*name]);
        units[*name][start..end].fill(true);
        write(children, base, (start, end), depth + 1, text, units);
    }
}

/// The ranges of the units that any of `names` marks.
fn marked(names: &[&str], base: u64, units: &[[bool; UNITS]]) -> Vec<PhysRange> {
    let is_marked = |unit: usize| {
        NAMES.iter().zip(units).any(|(name, units)| names.contains(name) && units[unit])
    };
    let borders = (0..=UNITS)
        .filter(|&unit| (unit < UNITS && is_marked(unit)) != (unit > 0 && is_marked(unit - 1)));
    let borders: Vec<u64> = borders.map(|unit| base + unit as u64 * UNIT).collect();
    let (ranges, rest) = borders.as_chunks::<2>();
    assert_eq!(rest, [0; 0], "the last unit's end is a border");
    ranges.iter().map(|&[start, end]| PhysRange::new(start, end).unwrap()).collect()
}

fn found(text: String) -> source::Found {
    source::Found { path: "file".into(), bytes: text.into_bytes(), expected: "something" }
}

#[test]
fn lines_that_are_not_ram_are_devices() {
    let text = "00100000-3fffffff : System RAM\n  01000000-01ffffff : Kernel code\n  \
                10000000-1fffffff : Crash kernel\n140000000-147ffffff : dax0.0\n";
    let device = PhysRange::new(0x1_4000_0000, 0x1_4800_0000).unwrap();
    assert_eq!(iomem::parse(&found(text.into())).unwrap().devices, [device]);
}

proptest! {
    #[test]
    fn iomem_of_any_tree_is_read_back_range_by_range(
        tree in trees(),
        base in prop_oneof![
            Just(0),
            Just((1 << 52) - UNITS as u64 * UNIT),
            (0..1u64 << 40).prop_map(|page| page * 4096),
        ],
    ) {
        let (mut text, mut units) = (String::new(), [[false; UNITS]; NAMES.len()]);
        write(&tree, base, (0, UNITS), 0, &mut text, &mut units);
        let list = |names: &[&str]| marked(names, base, &units);
        let expected = iomem::Iomem {
            system_ram: list(&["System RAM", "System RAM (kmem)", "System RAM (virtio_mem)"]),
            crash_regions: list(&["Crash kernel"]),
            acpi_tables: list(&["ACPI Tables"]),
            acpi_nvs: list(&["ACPI Non-volatile Storage"]),
            reserved: list(&["Reserved", "reserved"]),
            pmem: list(&["Persistent Memory"]),
            pram: list(&["Persistent Memory (legacy)"]),
            devices: Vec::new(),
        };
        match iomem::parse(&found(text)) {
            Ok(iomem) => {
                prop_assert_eq!(iomem::Iomem { devices: Vec::new(), ..iomem }, expected);
            }
            Err(error) => {
                prop_assert!(expected.system_ram.is_empty(), "{}", error);
                prop_assert!(error.to_string().contains("no System RAM"), "{}", error);
            }
        }
    }

    #[test]
    fn vmcoreinfo_at_any_address_is_read_back_or_refused(
        start: u64,
        len in prop_oneof![0..0x10000u64, any::<u64>()],
    ) {
        // `vmcoreinfo_show`, kernel/ksysfs.c: "%pa %x\n".
        let read = kexec::parse_vmcoreinfo(&found(format!("{start:#018x} {len:x}\n"))).ok();
        prop_assert_eq!(read, PhysRange::with_len(start, len).filter(|_| len > 0));
    }

    #[test]
    fn crash_cma_ranges_are_read_back_joined(
        lens in prop::collection::vec((0..3u64, 1..0x1_0000u64), 0..8),
    ) {
        let (mut text, mut end, mut expected) =
            (String::new(), 0x1000_0000, Vec::<(u64, u64)>::new());
        for (gap, pages) in lens {
            let start = end + gap * 4096;
            end = start + pages * 4096;
            text += &format!("{start:08x}-{:08x}\n", end - 1);
            match expected.last_mut() {
                Some(last) if last.1 == start => last.1 = end,
                _ => expected.push((start, end)),
            }
        }
        let read = kexec::parse_cma_ranges(&found(text)).unwrap();
        prop_assert_eq!(
            read.iter().map(|range| (range.start(), range.end())).collect::<Vec<_>>(),
            expected
        );
    }

    #[test]
    fn possible_cpus_are_counted(runs in prop::collection::vec((1..9u32, 1..300u32), 1..20)) {
        // `%*pbl` (lib/bitmap-str.c): a run of one is one number.
        let (mut list, mut next, mut count) = (Vec::new(), 0, 0);
        for (gap, len) in runs {
            let first = next + gap;
            next = first + len;
            count += len;
            list.push(if len == 1 { format!("{first}") } else { format!("{first}-{}", next - 1) });
        }
        prop_assert_eq!(cpus::parse_possible(&found(list.join(",") + "\n")).unwrap(), count);
    }
}
