//! Paths that are not files, and files that change or are replaced.

use std::fs;
use std::io::Write;
use std::os::unix::net::UnixListener;
use std::process::Command;

use super::*;

const LIMIT: u64 = 1 << 20;

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn read(path: &Path) -> Result<Content, Error> {
    Opened::new("initrd", path)?.read(all, LIMIT)
}

#[test]
fn file_is_read_with_the_identity_of_its_bytes() {
    let dir = directory();
    let path = dir.path().join("initrd");
    fs::write(&path, b"070701").unwrap();
    let content = read(&path).unwrap();
    assert_eq!((content.input.bytes.as_slice(), &content.input.path), (&b"070701"[..], &path));
    assert_eq!(content.identity, FileIdentity::of(&path).unwrap());
}

#[test]
fn path_that_is_not_a_file_is_refused_without_waiting() {
    let dir = directory();
    let fifo = dir.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let socket = dir.path().join("socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    for (path, kind) in [
        (fifo.as_path(), "a FIFO"),
        (&socket, "a socket"),
        (dir.path(), "a directory"),
        (Path::new("/dev/zero"), "a character device"),
    ] {
        let message = read(path).unwrap_err().to_string();
        assert!(
            message.contains(kind)
                && message.contains("initrd")
                && message.contains("regular file"),
            "{message}"
        );
    }
}

#[test]
fn size_is_checked_before_the_content_is_read() {
    let dir = directory();
    let path = dir.path().join("initrd");
    // The file is sparse: it needs no room on disk, and no memory unless it is read.
    fs::File::create(&path).unwrap().set_len(1 << 42).unwrap();
    let message = read(&path).unwrap_err().to_string();
    assert!(message.contains("4194304 MiB") && message.contains("1 MiB"), "{message}");
}

#[test]
fn first_bytes_are_read_of_a_file_of_any_size() {
    let dir = directory();
    let path = dir.path().join("kernel");
    let mut file = fs::File::create(&path).unwrap();
    file.write_all(b"HdrS").unwrap();
    file.set_len(1 << 42).unwrap();
    drop(file);
    let opened = Opened::new("capture kernel", &path).unwrap();
    assert_eq!((opened.len(), opened.head(4).unwrap()), (1 << 42, b"HdrS".to_vec()));
    assert_eq!(opened.read(|_| Ok(Some(4)), LIMIT).unwrap().input.bytes, b"HdrS");
}

#[test]
fn file_that_a_writer_has_open_is_refused_however_long_the_writer_pauses() {
    let dir = directory();
    let path = dir.path().join("initrd");
    let mut writer = fs::File::create(&path).unwrap();
    writer.write_all(b"070701, the first half").unwrap();
    if writers::any(&fs::File::open(&path).unwrap()).is_none() {
        eprintln!("skipped: this file system has no leases");
        return;
    }
    let message = read(&path).unwrap_err().to_string();
    assert!(message.contains("open for writing"), "{message}");
    writer.write_all(b", the second half").unwrap();
    drop(writer);
    assert!(read(&path).unwrap().input.bytes.ends_with(b"the second half"));
}

#[test]
fn file_that_changes_each_time_it_is_read_is_refused() {
    let dir = directory();
    let path = dir.path().join("initrd");
    fs::write(&path, b"070701").unwrap();
    let mut times = 0;
    let result = Opened::new("initrd", &path).unwrap().read_while(all, LIMIT, |path| {
        times += 1;
        // Only its times change, so neither its length nor its writers show it.
        fs::File::open(path)
            .unwrap()
            .set_modified(std::time::UNIX_EPOCH + Duration::from_secs(times))
            .unwrap();
    });
    let message = result.unwrap_err().to_string();
    assert!(message.contains("changed during each of 6 attempts"), "{message}");
    assert_eq!(times, u64::from(TRIES));
}

#[test]
fn file_that_is_written_while_it_is_read_is_read_again_when_that_is_over() {
    let dir = directory();
    let path = dir.path().join("initrd");
    fs::write(&path, b"070701, the first half").unwrap();
    let mut rest: &[u8] = b", the second half";
    let opened = Opened::new("initrd", &path).unwrap();
    let content = opened.read_while(all, LIMIT, |path| {
        fs::OpenOptions::new()
            .append(true)
            .open(path)
            .unwrap()
            .write_all(std::mem::take(&mut rest))
            .unwrap();
    });
    let content = content.unwrap();
    assert!(content.input.bytes.ends_with(b"the second half"));
    assert_eq!(content.identity, FileIdentity::of(&path).unwrap());
}

#[test]
fn file_that_was_replaced_since_it_was_opened_is_read_whole() {
    let dir = directory();
    let path = dir.path().join("initrd");
    fs::write(&path, b"070701 old").unwrap();
    let opened = Opened::new("initrd", &path).unwrap();
    fs::write(dir.path().join("new"), b"070701 new one").unwrap();
    fs::rename(dir.path().join("new"), &path).unwrap();
    let content = opened.read(all, LIMIT).unwrap();
    // The descriptor still reads the whole old file, and the identity is that of the old file.
    assert_eq!(content.input.bytes, b"070701 old");
    assert_ne!(content.identity, FileIdentity::of(&path).unwrap());
}

#[test]
fn file_that_became_shorter_since_it_was_measured_is_read_again() {
    let dir = directory();
    let path = dir.path().join("initrd");
    fs::write(&path, b"070701 and more").unwrap();
    let opened = Opened::new("initrd", &path).unwrap();
    fs::write(&path, b"070701").unwrap();
    assert_eq!(opened.read(all, LIMIT).unwrap().input.bytes, b"070701");
}

/// The first byte is the length, as if it were a kernel's head: 9 means nine bytes.
fn by_head(opened: &Opened) -> Result<Option<u64>, Error> {
    Ok(Some(opened.head(1)?.first().map_or(0, |&digit| u64::from(digit - b'0'))))
}

#[test]
fn kernel_whose_head_comes_late_is_measured_again() {
    let dir = directory();
    let (path, new) = (dir.path().join("vmlinuz"), dir.path().join("new"));
    // In place, and replaced by rename.
    for at in [&path, &new] {
        fs::write(&path, b"").unwrap();
        let mut first = true;
        let content =
            Opened::new("capture kernel", &path).unwrap().read_while(by_head, LIMIT, |path| {
                if std::mem::take(&mut first) {
                    // The old one changes, so that it is read again.
                    fs::OpenOptions::new()
                        .append(true)
                        .open(path)
                        .unwrap()
                        .write_all(b"1")
                        .unwrap();
                    fs::write(at, b"9 kernel and more").unwrap();
                    if *at == new {
                        fs::rename(&new, path).unwrap();
                    }
                }
            });
        assert_eq!(content.unwrap().input.bytes, b"9 kernel ");
    }
}

#[test]
fn file_that_grew_since_it_was_opened_is_read_whole() {
    let dir = directory();
    let path = dir.path().join("initrd");
    fs::write(&path, b"070701").unwrap();
    let opened = Opened::new("initrd", &path).unwrap();
    fs::write(&path, b"070701 and more").unwrap();
    assert_eq!(opened.read(all, LIMIT).unwrap().input.bytes, b"070701 and more");
}
