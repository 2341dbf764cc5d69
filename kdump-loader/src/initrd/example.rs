//! Initrds for tests. The program's tests include this file, because the library that they link has
//! no test code.

use std::io::Write;

/// A plain archive of these files.
pub fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, content) in files {
        let mut file =
            cpio::newc::Builder::new(name).mode(0o100_644).write(&mut bytes, content.len() as u32);
        file.write_all(content).unwrap();
        file.finish().unwrap();
    }
    cpio::newc::trailer(&mut bytes).unwrap();
    bytes
}
