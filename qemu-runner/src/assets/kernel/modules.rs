//! A kernel's modules: `lib/modules/RELEASE` of `make INSTALL_MOD_PATH=DIR modules_install`, or
//! that folder itself.
//!
//! The modules name their own dependencies, so `depmod` need not have run.

use std::fs;
use std::path::{Path, PathBuf};

use memchr::memmem;

use crate::assets::kernel::payload;
use crate::error::Error;
use crate::host;

/// The list of drivers that could be modules and are built in. `make modules_install` writes it.
const BUILT_IN: &str = "modules.builtin";
/// Where a module names the modules that it needs (`.modinfo`, scripts/mod/modpost.c).
const DEPENDS: &[u8] = b"\0depends=";

#[derive(Clone, Debug)]
pub(crate) struct Modules {
    directory: PathBuf,
    files: Vec<PathBuf>,
    built_in: Vec<String>,
}

impl Modules {
    /// Those below `directory`, for the kernel of this release.
    pub(crate) fn open(directory: &Path, release: &str) -> Result<Self, Error> {
        let places = ["", "lib/modules/RELEASE", "usr/lib/modules/RELEASE", "RELEASE"];
        let places = places.map(|place| directory.join(place.replace("RELEASE", release)));
        let Some(found) = places.iter().find(|place| place.join(BUILT_IN).is_file()) else {
            let at = directory.display();
            return Err(Error::Unfit(format!(
                "{at} has no modules of {release}: no {BUILT_IN} in it or in lib/modules/{release}"
            )));
        };
        let list = found.join(BUILT_IN);
        let text = fs::read_to_string(&list).map_err(Error::file("read", &list))?;
        let built_in = text.lines().filter_map(|line| name(Path::new(line))).collect();
        // `build` and `source` are links out of the tree.
        let mut files = host::files_below(found)?;
        files.retain(|file| name(file).is_some());
        Ok(Self { directory: found.clone(), files, built_in })
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn is_built_in(&self, module: &str) -> bool {
        self.built_in.iter().any(|name| name == module)
    }

    /// The module's file after those of all that it needs.
    pub(crate) fn with_dependencies(&self, module: &str) -> Result<Vec<PathBuf>, Error> {
        let mut order = Vec::new();
        self.add(module, &mut order)?;
        Ok(order)
    }

    fn add(&self, module: &str, order: &mut Vec<PathBuf>) -> Result<(), Error> {
        let file = self.files.iter().find(|file| name(file).is_some_and(|name| name == module));
        let Some(file) = file else {
            return Err(Error::Unfit(format!(
                "{} has no module {module}",
                self.directory.display()
            )));
        };
        if order.contains(file) {
            return Ok(());
        }
        for dependency in
            dependencies(&payload::module(file)?).iter().filter(|name| !self.is_built_in(name))
        {
            self.add(dependency, order)?;
        }
        order.push(file.clone());
        Ok(())
    }
}

/// What a module file is called when it is loaded; none of another file.
pub(super) fn name(path: &Path) -> Option<String> {
    let (name, _) = path.file_name()?.to_str()?.split_once(".ko")?;
    Some(name.replace('-', "_"))
}

pub(super) fn dependencies(module: &[u8]) -> Vec<String> {
    let Some(at) = memmem::find(module, DEPENDS) else { return Vec::new() };
    let list = module[at + DEPENDS.len()..].split(|&byte| byte == 0).next().unwrap_or_default();
    let list = String::from_utf8_lossy(list);
    list.split(',').filter(|name| !name.is_empty()).map(|name| name.replace('-', "_")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_comes_after_those_it_needs_and_built_in_drivers_are_left_out() {
        let root = tempfile::tempdir().unwrap();
        let tree = root.path().join("lib/modules/6.19");
        let drivers = tree.join("kernel/drivers/virtio");
        fs::create_dir_all(&drivers).unwrap();
        fs::write(tree.join(BUILT_IN), "kernel/drivers/virtio/virtio-ring.ko\n").unwrap();
        fs::write(
            drivers.join("virtio_mem.ko"),
            b"license=GPL\0depends=virtio,virtio-ring\0name=virtio_mem\0",
        )
        .unwrap();
        fs::write(drivers.join("virtio.ko"), b"license=GPL\0depends=\0").unwrap();
        for directory in [root.path(), &tree] {
            let modules = Modules::open(directory, "6.19").unwrap();
            let files = modules.with_dependencies("virtio_mem").unwrap();
            assert_eq!(files, [drivers.join("virtio.ko"), drivers.join("virtio_mem.ko")]);
            let error = modules.with_dependencies("nothing").unwrap_err().to_string();
            assert!(error.contains("no module nothing"), "{error}");
        }
        let error = Modules::open(root.path(), "6.1").unwrap_err().to_string();
        assert!(error.contains("no modules of 6.1"), "{error}");
    }
}
