//! `[5]` The modules as /init gets them: as they are if the capture kernel decompresses modules,
//! otherwise unpacked.
//!
//! *On entry* paths of modules. *On exit* their bytes, and which files they were read from.

use std::io::Read;
use std::path::Path;

use loader::files::identity::FileIdentity;
use loader::files::read::{Content, Opened, all};

use super::error::Modules as Error;
use super::modules::Module;
use crate::health::files::Files;
use crate::initrd::compression;

/// Limit of a module's file, packed or not. The largest of Debian's have 10 MB.
const LARGEST: u64 = 256 << 20;
/// What a module is in messages.
const WHAT: &str = "module";
/// Where the kernel's configuration is, on Debian, and on Fedora and openSUSE.
const CONFIGS: [&str; 2] = ["boot/config-{release}", "lib/modules/{release}/config"];

/// Suffixes of compressed modules, and the setting with which the kernel decompresses them
/// (kernel/module/Kconfig). It knows the format in which its own modules are installed.
const COMPRESSED: [(&str, &str); 3] = [
    (".xz", "CONFIG_MODULE_COMPRESS_XZ=y"),
    (".zst", "CONFIG_MODULE_COMPRESS_ZSTD=y"),
    (".gz", "CONFIG_MODULE_COMPRESS_GZIP=y"),
];
const DECOMPRESS: &str = "CONFIG_MODULE_DECOMPRESS=y";

/// A module's file in the initrd.
#[derive(Clone, Debug)]
pub struct Packed {
    /// Its name, without directories, such as `virtio_blk.ko.xz`.
    pub file: String,
    /// Its content.
    pub bytes: Vec<u8>,
    /// Bytes of the module itself.
    pub unpacked: u64,
    /// The file that it was read from.
    pub source: FileIdentity,
}

impl Packed {
    /// Memory that it takes while it is loaded: its file, its content, and a copy of that
    /// (`module_decompress`, `load_module`, kernel/module).
    pub fn while_loaded(&self) -> u64 {
        self.bytes.len() as u64 + 2 * self.unpacked
    }
}

/// Reads the modules for a kernel of this release.
pub fn read(files: Files<'_>, release: &str, modules: &[Module]) -> Result<Vec<Packed>, Error> {
    let config = CONFIGS
        .iter()
        .find_map(|path| files.text(path.replace("{release}", release)))
        .unwrap_or_default();
    modules.iter().map(|module| packed(files, &config, &module.path)).collect()
}

fn packed(files: Files<'_>, config: &str, path: &Path) -> Result<Packed, Error> {
    let outside = files.outside(path);
    let Content { input, identity, .. } = Opened::new(WHAT, &outside)?.read(all, LARGEST)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let compressed = COMPRESSED.into_iter().find(|(suffix, _)| name.ends_with(suffix));
    let Some((suffix, setting)) = compressed else {
        let unpacked = input.bytes.len() as u64;
        return Ok(Packed { file: name, bytes: input.bytes, unpacked, source: identity });
    };
    let content =
        unpacked(&input.bytes).map_err(|source| Error::Unpack { path: outside, source })?;
    let unpacked = content.len() as u64;
    // A kernel whose configuration is unknown may not decompress modules.
    let (file, bytes) = match decompresses(config, setting) {
        true => (name, input.bytes),
        false => (name.trim_end_matches(suffix).to_owned(), content),
    };
    Ok(Packed { file, bytes, unpacked, source: identity })
}

fn decompresses(config: &str, setting: &str) -> bool {
    let has = |wanted: &str| config.lines().any(|line| line == wanted);
    has(DECOMPRESS) && has(setting)
}

fn unpacked(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let unpack = compression::of(bytes).ok_or_else(|| {
        std::io::Error::new(std::io::ErrorKind::InvalidData, "it is of another format")
    })?;
    let mut unpacked = Vec::new();
    unpack(Box::new(bytes))?.take(LARGEST).read_to_end(&mut unpacked)?;
    Ok(unpacked)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;

    const RELEASE: &str = "6.12";
    const MODULE: &[u8] = b"\x7fELF of a module, many times the same, the same, the same";

    fn machine(config: Option<&str>) -> (tempfile::TempDir, Module) {
        let root = tempfile::tempdir().unwrap();
        let path = Path::new("lib/modules/6.12/kernel/ext4.ko.gz");
        let outside = root.path().join(path);
        fs::create_dir_all(outside.parent().unwrap()).unwrap();
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), Default::default());
        packed.write_all(MODULE).unwrap();
        fs::write(&outside, packed.finish().unwrap()).unwrap();
        if let Some(config) = config {
            fs::write(root.path().join("lib/modules/6.12/config"), config).unwrap();
        }
        (root, Module { name: "ext4".into(), path: Path::new("/").join(path) })
    }

    fn file_and_content(config: Option<&str>) -> (String, bool) {
        let (root, module) = machine(config);
        let packed = read(Files::new(root.path()), RELEASE, &[module]).unwrap().remove(0);
        assert!(packed.source.path.ends_with("kernel/ext4.ko.gz"));
        assert_eq!(packed.unpacked, MODULE.len() as u64);
        (packed.file, packed.bytes == MODULE)
    }

    #[test]
    fn module_stays_compressed_only_if_the_kernel_decompresses_this_format() {
        let config =
            |of: &str| format!("CONFIG_MODULE_DECOMPRESS=y\nCONFIG_MODULE_COMPRESS_{of}=y\n");
        assert_eq!(file_and_content(Some(&config("GZIP"))), ("ext4.ko.gz".into(), false));
        assert_eq!(file_and_content(Some(&config("XZ"))), ("ext4.ko".into(), true));
        let compressed_only =
            "# CONFIG_MODULE_DECOMPRESS is not set\nCONFIG_MODULE_COMPRESS_GZIP=y\n";
        assert_eq!(file_and_content(Some(compressed_only)), ("ext4.ko".into(), true));
        assert_eq!(file_and_content(None), ("ext4.ko".into(), true));
    }

    #[test]
    fn damaged_or_missing_module_is_an_error_with_its_path() {
        let (root, module) = machine(None);
        let files = Files::new(root.path());
        fs::write(files.outside(&module.path), b"\x1f\x8b\x08damaged").unwrap();
        let refused =
            || read(files, RELEASE, std::slice::from_ref(&module)).unwrap_err().to_string();
        let error = refused();
        assert!(error.contains("ext4.ko.gz cannot be decompressed"), "{error}");
        fs::remove_file(files.outside(&module.path)).unwrap();
        let error = refused();
        assert!(
            error.contains("cannot read the module") && error.contains("ext4.ko.gz"),
            "{error}"
        );
    }
}
