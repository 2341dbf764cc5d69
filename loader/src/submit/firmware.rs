//! `[14]` The firmware that booted the machine, which decides which kernels Linux trusts. It
//! explains why a kernel was rejected.
//!
//! It needs neither securityfs nor efivarfs, so it works where the lockdown mode cannot be read.

use std::fs;
use std::path::Path;

use crate::submit;

/// Offset of `secure_boot` in `struct boot_params`, and its values for "enabled" and "disabled"
/// (arch/x86/include/uapi/asm/bootparam.h, include/linux/efi.h).
const SECURE_BOOT_AT: usize = 0x1ec;
const SECURE_BOOT_ENABLED: u8 = 3;
const SECURE_BOOT_DISABLED: u8 = 2;

/// The firmware that booted the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firmware {
    /// A BIOS.
    Bios,
    /// UEFI.
    Uefi {
        /// Whether Secure Boot was on; `None` if the boot loader did not pass it to the kernel.
        secure_boot: Option<bool>,
    },
}

impl Firmware {
    /// Reads it below `root`: `/`, or a snapshot.
    pub fn read(root: &Path) -> Self {
        if !root.join("sys/firmware/efi").is_dir() {
            return Self::Bios;
        }
        let params = fs::read(root.join("sys/kernel/boot_params/data")).unwrap_or_default();
        let secure_boot = match params.get(SECURE_BOOT_AT) {
            Some(&SECURE_BOOT_ENABLED) => Some(true),
            Some(&SECURE_BOOT_DISABLED) => Some(false),
            _ => None,
        };
        Self::Uefi { secure_boot }
    }

    /// What the firmware adds to an error of kexec_load(2), if anything.
    pub fn about_load(self, refusal: &submit::Error) -> Option<&'static str> {
        let forbidden = matches!(refusal, submit::Error::NotPermitted | submit::Error::Forbidden);
        match self {
            Self::Uefi { secure_boot: Some(true) } if forbidden => Some(
                "Secure Boot is on, so Linux accepts only signed kernels: load one with \
                 kexec_file_load",
            ),
            _ => None,
        }
    }

    /// What the firmware adds to an error of kexec_file_load(2), if anything.
    pub fn about_file_load(self, refusal: &submit::file::Error) -> Option<&'static str> {
        // Under lockdown, the error for an untrusted signature is EPERM
        // (`kimage_validate_signature`, kernel/kexec_file.c), unless signatures are also enforced
        // for another reason.
        let untrusted = matches!(
            refusal,
            submit::file::Error::Signature { .. } | submit::file::Error::NotPermitted
        );
        (self == Self::Bios && untrusted).then_some(
            "this machine was booted by a BIOS, so Linux trusts only the keys that are built into \
             it; the distribution's key may be trusted under UEFI only: boot by UEFI, or use \
             kexec_load if the kernel is not locked down",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(secure_boot: Option<u8>) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("sys/kernel/boot_params")).unwrap();
        if let Some(secure_boot) = secure_boot {
            fs::create_dir_all(root.path().join("sys/firmware/efi")).unwrap();
            let mut params = vec![0; 4096];
            params[SECURE_BOOT_AT] = secure_boot;
            fs::write(root.path().join("sys/kernel/boot_params/data"), params).unwrap();
        }
        root
    }

    fn firmware(secure_boot: Option<u8>) -> Firmware {
        Firmware::read(machine(secure_boot).path())
    }

    #[test]
    fn secure_boot_is_known_without_efivarfs_and_securityfs() {
        assert_eq!(firmware(None), Firmware::Bios);
        for (value, secure_boot) in [(0, None), (1, None), (2, Some(false)), (3, Some(true))] {
            assert_eq!(firmware(Some(value)), Firmware::Uefi { secure_boot }, "{value}");
        }
    }

    #[test]
    fn refused_load_under_secure_boot_names_it_and_the_way_out() {
        let secure = firmware(Some(3));
        for refusal in [submit::Error::Forbidden, submit::Error::NotPermitted] {
            let words = secure.about_load(&refusal).unwrap();
            assert!(words.contains("Secure Boot") && words.contains("kexec_file_load"), "{words}");
            assert_eq!(firmware(None).about_load(&refusal), None);
            assert_eq!(firmware(Some(2)).about_load(&refusal), None);
        }
        assert_eq!(secure.about_load(&submit::Error::NoMemory), None);
    }

    #[test]
    fn untrusted_signature_on_a_bios_machine_is_explained() {
        for untrusted in [libc::ENOKEY, libc::EKEYREJECTED, libc::EPERM].map(submit::file::refusal)
        {
            let words = firmware(None).about_file_load(&untrusted).unwrap();
            assert!(
                words.contains("BIOS")
                    && words.contains("the distribution's key may be trusted under UEFI only"),
                "{words}"
            );
            assert_eq!(firmware(Some(3)).about_file_load(&untrusted), None);
        }
        assert_eq!(firmware(None).about_file_load(&submit::file::refusal(libc::ENOMEM)), None);
    }
}
