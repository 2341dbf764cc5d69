//! Configs as files of a machine, whose other files decide which paths of a list are used.

use std::os::unix::fs::symlink;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::*;

#[test]
fn first_existing_kernel_and_initrd_of_a_list_are_used() {
    let root = tempfile::tempdir().unwrap();
    let put = |path: &str, text: &str| {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    put(OSRELEASE, "6.1.0\n");
    put(DEFAULT, "kernel = '/k'\ninitrd = ['/boot/i-{release}', '/var/lib/kdump/i-{release}']");
    let initrd = || Config::read(root.path(), None).unwrap().options.initrd.unwrap();
    assert_eq!(
        initrd(),
        Path::new("/boot/i-6.1.0"),
        "neither exists: the first is named in the error"
    );
    put("var/lib/kdump/i-6.1.0", "");
    assert_eq!(initrd(), Path::new("/var/lib/kdump/i-6.1.0"));
    put("boot/i-6.1.0", "");
    assert_eq!(initrd(), Path::new("/boot/i-6.1.0"));
    let kernels = "kernel = ['/boot/k-{release}', '/usr/lib/modules/{release}/vmlinuz']";
    put(DEFAULT, kernels);
    let kernel = || Config::read(root.path(), None).unwrap().options.kernel;
    assert_eq!(kernel(), Path::new("/boot/k-6.1.0"));
    put("usr/lib/modules/6.1.0/vmlinuz", "");
    assert_eq!(kernel(), Path::new("/usr/lib/modules/6.1.0/vmlinuz"));
    put("boot/k-6.1.0", "");
    assert_eq!(kernel(), Path::new("/boot/k-6.1.0"));
}

#[test]
fn missing_and_defective_files_are_named() {
    let root = tempfile::tempdir().unwrap();
    let message = Config::read(root.path(), None).unwrap_err().to_string();
    assert!(message.contains("etc/kdump-loader.toml") && message.contains("--config"), "{message}");
    let path = root.path().join("my.toml");
    fs::write(&path, "kernel = '/boot/vmlinuz-{release}'").unwrap();
    assert!(matches!(Config::read(root.path(), Some(&path)), Err(Error::Release { .. })));
    let release = root.path().join(OSRELEASE);
    fs::create_dir_all(release.parent().unwrap()).unwrap();
    fs::write(release, "6.1.0\n").unwrap();
    let config = Config::read(root.path(), Some(&path)).unwrap();
    assert_eq!(config.options.kernel, Path::new("/boot/vmlinuz-6.1.0"));
    fs::write(&path, "kernal = '/k'").unwrap();
    let message = Config::read(root.path(), Some(&path)).unwrap_err().to_string();
    assert!(message.contains("my.toml: line 1") && message.contains("kernal"), "{message}");
    fs::write(&path, b"kernel = '/\xff'").unwrap();
    assert!(matches!(Config::read(root.path(), Some(&path)), Err(Error::Read { .. })));
}

#[test]
fn irregular_or_oversized_config_is_rejected_without_blocking() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("config");
    let refused = |path: &Path| match Config::read(root.path(), Some(path)) {
        Err(Error::Read { source, .. }) => source.to_string(),
        other => panic!("{other:?}"),
    };
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    assert!(refused(&path).contains("is a FIFO"), "{}", refused(&path));
    assert!(refused(Path::new("/dev/zero")).contains("is a character device"));
    fs::remove_file(&path).unwrap();
    // A link is followed.
    fs::write(root.path().join("large"), vec![b'#'; 1 + LARGEST as usize]).unwrap();
    symlink("large", &path).unwrap();
    assert!(refused(&path).contains("1048577 bytes"), "{}", refused(&path));
    fs::write(root.path().join("large"), vec![b'#'; LARGEST as usize]).unwrap();
    assert!(
        matches!(Config::read(root.path(), Some(&path)), Err(Error::Release { .. })),
        "it was read"
    );
}
