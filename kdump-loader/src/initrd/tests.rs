//! Initrds of every kind, and invalid ones.

use std::io::Write;

use super::example::archive;
use super::*;

const FILES: [(&str, &[u8]); 3] = [
    ("./usr/lib/modules/6.12.43/kernel/fs/ext4.ko.xz", b"module"),
    ("usr/lib/modules/6.1.0/modules.dep", b""),
    ("/etc/kdump.conf", b"path /var/crash\n"),
];

fn read(bytes: &[u8]) -> Result<Initrd, Error> {
    Initrd::read(bytes, |name| name == "etc/kdump.conf")
}

fn check(initrd: &Initrd) {
    assert_eq!(initrd.kept["etc/kdump.conf"], b"path /var/crash\n");
    assert_eq!(
        initrd.releases(),
        BTreeSet::from(["6.12.43"]),
        "a directory without a module does not count"
    );
    assert!(initrd.names.contains("etc/kdump.conf"));
}

#[test]
fn plain_archive_is_listed() {
    let initrd = read(&archive(&FILES)).unwrap();
    check(&initrd);
    assert_eq!((initrd.names.len(), initrd.unpacked), (3, 22));
}

/// The archive in every compression.
fn packed() -> [Vec<u8>; 4] {
    let packed = archive(&FILES);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&packed).unwrap();
    let zstd =
        ruzstd::encoding::compress_to_vec(&*packed, ruzstd::encoding::CompressionLevel::Fastest);
    let mut xz =
        lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
    xz.write_all(&packed).unwrap();
    let legacy = lz4_flex::frame::FrameInfo::new().legacy_frame(true);
    let mut lz4 = lz4_flex::frame::FrameEncoder::with_frame_info(legacy, Vec::new());
    lz4.write_all(&packed).unwrap();
    [gzip.finish().unwrap(), zstd, xz.finish().unwrap(), lz4.finish().unwrap()]
}

#[test]
fn archive_after_microcode_is_listed_with_every_compression() {
    let mut early = archive(&[("kernel/x86/microcode/AuthenticAMD.bin", &[0x5a; 1000])]);
    early.resize(early.len().next_multiple_of(512), 0);
    for packed in packed() {
        check(&read(&packed).unwrap());
        let initrd = read(&[early.clone(), packed].concat()).unwrap();
        check(&initrd);
        assert!(initrd.names.contains("kernel/x86/microcode/AuthenticAMD.bin"));
    }
}

#[test]
fn archive_after_a_compressed_one_is_listed() {
    let [gzip, zstd, xz, _] = packed();
    let more = archive(&[("appended", b"more")]);
    for packed in [&gzip, &zstd, &xz] {
        for alignment in [4, 512] {
            let mut padded = packed.clone();
            padded.resize(packed.len().next_multiple_of(alignment), 0);
            let initrd = read(&[&padded[..], &more, packed].concat()).unwrap();
            check(&initrd);
            assert!(initrd.names.contains("appended"));
            assert_eq!(initrd.unpacked, 22 + 4 + 22);
            let at = padded.len() as u64 + 1;
            let unaligned = read(&[&padded[..], &[0], &more].concat()).unwrap_err();
            assert!(matches!(unaligned, Error::Alignment { at: found } if found == at));
        }
        let garbage = read(&[&packed[..], b"garbage"].concat()).unwrap_err();
        let expected = packed.len() as u64;
        assert!(matches!(garbage, Error::Format { at } if at == expected), "{garbage}");
    }
}

#[test]
fn compression_that_is_not_read_is_named() {
    let early = archive(&[("kernel/x86/microcode/AuthenticAMD.bin", b"")]);
    for (start, name) in
        [(b"BZh91AY&SY".as_slice(), "bzip2"), (b"\x5d\0\0\x80\0", "lzma"), (b"\x89LZO\0", "lzo")]
    {
        for bytes in [start.to_vec(), [&early, start].concat()] {
            let message = read(&bytes).unwrap_err().to_string();
            let words = format!("compressed with {name}, which this program does not read");
            assert!(message.ends_with(&words), "{message}");
        }
    }
}

#[test]
fn lz4_block_of_incompressible_data_is_unpacked() {
    let mut state = 1u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 56) as u8
    })
    .take(9 << 20)
    .collect();
    let mut packed = Vec::new();
    for files in [&[("noise", &*noise)][..], &FILES] {
        packed.extend(b"\x02\x21\x4c\x18");
        for block in archive(files).chunks(8 << 20).map(lz4_flex::block::compress) {
            packed.extend((block.len() as u32).to_le_bytes());
            packed.extend(block);
        }
    }
    assert!(
        u32::from_le_bytes(packed[4..8].try_into().unwrap()) > 8 << 20,
        "longer than what it unpacks to"
    );
    check(&read(&packed).unwrap());
    packed[7] = 1;
    assert!(matches!(read(&packed), Err(Error::Read(_))), "longer than any block");
}

#[test]
fn no_corrupt_byte_causes_a_panic() {
    // `status` must answer, and a panic would end the program.
    for good in packed().into_iter().chain([archive(&FILES)]) {
        for at in 0..good.len() {
            for value in [0, b'0', b'f', 0x7f, 0x80, 0xff, good[at] ^ 1] {
                let mut bytes = good.clone();
                bytes[at] = value;
                let _ = read(&bytes);
            }
            let _ = read(&good[..at]);
        }
    }
}

#[test]
fn damaged_or_unknown_file_is_an_error_not_an_empty_initrd() {
    let whole = archive(&FILES);
    for len in 1..whole.len() - 1 {
        // Padding after the trailer may be missing.
        let trailer = whole.windows(10).position(|window| window == b"TRAILER!!!").unwrap() + 11;
        assert!(len >= trailer || read(&whole[..len]).is_err(), "{len} bytes of {}", whole.len());
    }
    for unknown in [b"garbage".as_slice(), b"070707cpio"] {
        assert!(matches!(read(unknown), Err(Error::Format { at: 0 })));
    }
    assert!(matches!(read(&[whole, b"rest".to_vec()].concat()), Err(Error::Format { .. })));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&archive(&FILES)).unwrap();
    let packed = gzip.finish().unwrap();
    assert!(read(&packed[..packed.len() - 20]).is_err());
}

#[test]
fn archive_with_an_impossible_size_is_rejected() {
    let mut large = archive(&[("a", b"")]);
    large[54..62].copy_from_slice(b"7fffffff"); // c_filesize
    assert!(matches!(read(&large), Err(Error::TooLarge)));
}
