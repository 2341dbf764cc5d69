//! `[4c]` Memory that the capture kernel takes for the machine's IOMMUs.
//!
//! *On entry* the machine. *On exit* bytes. The virtual machines of the measurements have no IOMMU,
//! so [`loader::place::room`] does not include it. The driver takes it whatever the command line
//! says about DMA: the tables are also those of interrupts.

use std::collections::BTreeSet;
use std::path::Path;

use crate::health::files::Files;

/// Every IOMMU has a link here.
const IOMMUS: &str = "sys/class/iommu";
/// Its name on Intel: `dmar0` (`alloc_iommu`, drivers/iommu/intel/dmar.c).
const INTEL: &str = "dmar";
/// The table of interrupts of each (`INTR_REMAP_PAGE_ORDER`, drivers/iommu/intel).
const INTEL_EACH: u64 = 1 << 20;
/// Its name on AMD: `ivhd0` (`iommu_init_pci`, drivers/iommu/amd/init.c).
const AMD: &str = "ivhd";
/// Tables of a PCI segment with 65 536 functions: 32 bytes for each in the device table, as many in
/// the copy of the crashed kernel's, and 18 in the tables of aliases, IOMMUs and interrupts
/// (`alloc_pci_segment`, drivers/iommu/amd/init.c). That is 5.1 MiB; buffers of each IOMMU follow.
const AMD_SEGMENT: u64 = 6 << 20;

/// Bytes for all of them.
pub fn memory(files: Files<'_>) -> u64 {
    let names = files.names(IOMMUS);
    let intel = names.iter().filter(|name| name.starts_with(INTEL)).count() as u64;
    let amd = names.iter().filter(|name| name.starts_with(AMD));
    let paths = amd.filter_map(|name| files.real_path(Path::new(IOMMUS).join(name)).ok());
    let segments: BTreeSet<String> = paths.filter_map(|path| segment(&path)).collect();
    intel * INTEL_EACH + segments.len() as u64 * AMD_SEGMENT
}

/// The PCI segment of a device, from the first bus on the way to it: `0000` in `pci0000:00`.
fn segment(path: &Path) -> Option<String> {
    path.iter().find_map(|part| {
        let (segment, _) = part.to_str()?.strip_prefix("pci")?.split_once(':')?;
        Some(segment.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::example::Tree;

    #[test]
    fn each_iommu_of_intel_and_each_segment_of_amd_takes_memory() {
        let tree = Tree::new();
        assert_eq!(memory(tree.files()), 0);
        for name in ["dmar0", "dmar1"] {
            let device = format!("sys/devices/virtual/iommu/{name}");
            tree.write(&format!("{device}/uevent"), "");
            tree.link(&format!("{IOMMUS}/{name}"), &device);
        }
        assert_eq!(memory(tree.files()), 2 << 20);
        for (name, bus) in [("ivhd0", "0000:00"), ("ivhd1", "0000:40"), ("ivhd2", "0001:00")] {
            let device = format!("sys/devices/pci{bus}/{bus}:00.2/iommu/{name}");
            tree.write(&format!("{device}/uevent"), "");
            tree.link(&format!("{IOMMUS}/{name}"), &device);
        }
        assert_eq!(memory(tree.files()), (2 << 20) + 2 * (6 << 20));
    }
}
