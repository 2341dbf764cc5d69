//! What the initrds of both kernels hold.

use std::collections::BTreeSet;

use loader::request::InputFile;

use super::{
    BALLAST, BALLAST_MARK, CAPTURE_APPEND, Packaging, Setup, Stage, UNIFIED_RESERVATION, guest,
};
use crate::assets::kernel::payload;
use crate::context;
use crate::error::Error;
use crate::guest::initramfs::{Initramfs, Role};
use crate::guest::uki;
use crate::host;
use crate::peers::{self, embedded};

impl Stage<'_> {
    pub(super) fn first_user_space(&self, setup: &Setup) -> Result<Vec<u8>, Error> {
        let context = self.context;
        let kernel = context.kernel(setup.series.unwrap_or(context.series()))?;
        let mut first = Initramfs::new(Role::First, context.busybox()?)?;
        first.host_file(guest::LOADER, 0o755, &context.built(context::LOADER)?)?;
        first.host_file(guest::SENTINEL, 0o755, &context.built(context::SENTINEL)?)?;
        let initrd = self.capture_user_space(setup)?;
        let bytes = host::read(&kernel.vmlinuz)?;
        match setup.packaging {
            Packaging::BzImage => first.file(guest::KERNEL, 0o644, &bytes),
            Packaging::Unified => {
                // Like images that were made to be the running kernel.
                let line = format!("{UNIFIED_RESERVATION} {CAPTURE_APPEND}");
                let sections = [
                    (".linux", bytes.as_slice()),
                    (".initrd", &initrd),
                    (".cmdline", line.as_bytes()),
                ];
                first.file(guest::UKI, 0o644, &uki::build(&sections));
            }
            Packaging::Vmlinux => {
                let bzimage = InputFile { path: kernel.vmlinuz.clone(), bytes };
                let unpacked = payload::vmlinux(&bzimage)
                    .map_err(|error| Error::Missing(format!("no vmlinux: {error}")))?;
                first.file(guest::VMLINUX, 0o644, &unpacked);
            }
        }
        if setup.packaging != Packaging::Unified {
            first.file(guest::INITRD, 0o644, &initrd);
        }
        if let Some(series) = setup.newer {
            first.host_file(guest::NEWER, 0o644, &context.kernel(series)?.vmlinuz)?;
        }
        if setup.peer_with_ours {
            self.kexec_with_ours(&mut first)?;
        } else if setup.peer {
            first.program(context.kexec()?)?;
        }
        if setup.first_makedumpfile {
            first.program(context.makedumpfile()?)?;
        }
        if setup.storm {
            first.program(context.udev()?)?;
            first.program(context.flock()?)?;
            first.host_file(guest::POLLER, 0o755, &context.built(context::POLLER)?)?;
            first.host_file(guest::TRIGGER, 0o755, &context.built(context::TRIGGER)?)?;
        }
        let mut drivers = Vec::new();
        if setup.virtio_mem != 0 {
            drivers.extend(context.virtio_mem(setup.series.unwrap_or(context.series()))?);
        }
        if !setup.modules.is_empty() {
            let modules = context.modules(setup.series.unwrap_or(context.series()))?;
            for module in setup.modules.iter().filter(|module| !modules.is_built_in(module)) {
                drivers.extend(modules.with_dependencies(module)?);
            }
            for (path, bytes) in modules.installed(&setup.modules, &kernel.release)? {
                first.file(&path, 0o644, &bytes);
            }
            let config = format!("config-{}", kernel.release);
            let beside = kernel.vmlinuz.with_file_name(&config);
            if beside.exists() {
                first.host_file(&format!("/boot/{config}"), 0o644, &beside)?;
            }
        }
        let mut seen = BTreeSet::new();
        drivers.retain(|file| seen.insert(file.clone()));
        for (order, file) in drivers.iter().enumerate() {
            first.module(&format!("{}/{order:02}.ko", guest::DRIVERS), file)?;
        }
        setup.files.iter().for_each(|file| first.file(file.path, file.mode, file.text.as_bytes()));
        if let Some(name) = setup.purgatory {
            first.file(guest::PURGATORY, 0o644, &peers::source(name)?.object(context)?);
        }
        Ok(first.finish())
    }

    /// kexec-tools with our purgatory where its own was.
    fn kexec_with_ours(&self, first: &mut Initramfs) -> Result<(), Error> {
        let kexec = self.context.kexec()?;
        let ours = host::read(&self.context.built(context::KEXEC_TOOLS_DROP_IN)?)?;
        for (path, host) in &kexec.files {
            let mut bytes = host::read(host)?;
            if *path == kexec.program {
                embedded::replace(&mut bytes, &ours)
                    .map_err(|defect| peers::error("kexec-tools", defect))?;
            }
            first.file(path, 0o755, &bytes);
        }
        Ok(())
    }

    fn capture_user_space(&self, setup: &Setup) -> Result<Vec<u8>, Error> {
        let mut capture = Initramfs::new(Role::Capture, self.context.busybox()?)?;
        let mut ballast = BALLAST_MARK.to_vec();
        ballast.resize(setup.ballast_mib << 20, 0);
        capture.file(BALLAST, 0o644, &ballast);
        if setup.makedumpfile {
            capture.program(self.context.makedumpfile()?)?;
        }
        Ok(capture.finish())
    }
}
