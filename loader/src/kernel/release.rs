//! `[2d]` Finds a kernel's release in its file.

use super::bzimage;
use crate::request::InputFile;

/// Offset of the offset of the release string in a bzImage, counted from 0x200 (boot.rst,
/// "kernel_version").
const KERNEL_VERSION: usize = 0x20e;
const KERNEL_VERSION_BASE: usize = 0x200;
/// The text before the release in an unpacked kernel (`linux_banner`, init/version.c).
const BANNER: &[u8] = b"Linux version ";
/// Longest release in bytes (`__NEW_UTS_LEN`, include/uapi/linux/utsname.h).
const LONGEST_RELEASE: usize = 64;

/// The release of the kernel in a file, such as `6.12.43`: from the setup header of a bzImage, or
/// from the banner of a vmlinux. `None` if the file has none.
pub fn release(file: &InputFile) -> Option<String> {
    let bytes = super::parse(file).ok()?.file;
    let start = if (bzimage::FORMAT.probe)(bytes) {
        let offset = bytes.get(KERNEL_VERSION..)?.first_chunk()?;
        KERNEL_VERSION_BASE + usize::from(u16::from_le_bytes(*offset))
    } else {
        bytes.windows(BANNER.len()).position(|window| window == BANNER)? + BANNER.len()
    };
    let text = bytes.get(start..)?;
    let end = text.iter().take(LONGEST_RELEASE).position(|&byte| byte == b' ' || byte == 0)?;
    let release = str::from_utf8(&text[..end]).ok()?;
    (start > KERNEL_VERSION_BASE && !release.is_empty()).then(|| release.to_owned())
}
