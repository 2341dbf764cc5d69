//! Known answers for every engine and every number of streams. Engines that this CPU lacks are
//! skipped here; `cavp` reports them. Miri takes a hundredth of a second for a block, so its
//! messages are shorter.

use digest::{Digest, Engine, EngineKind, Sha256, digest_leaves};

/// Every engine that this CPU can run. Miri has no CPUID, so it runs only the portable one.
fn engines() -> Vec<Engine> {
    if cfg!(miri) {
        return vec![Engine::soft()];
    }
    EngineKind::ALL.into_iter().filter_map(Engine::detect).collect()
}

/// Bytes in a message of several blocks.
const LONG: usize = if cfg!(miri) { 192 } else { 4096 };

fn hex(digest: &Digest) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn streamed(engine: Engine, message: &[u8], piece: usize) -> Digest {
    let mut hasher = Sha256::new(engine);
    message.chunks(piece).for_each(|bytes| hasher.update(bytes));
    hasher.finish()
}

fn as_leaf(engine: Engine, message: &[u8]) -> Digest {
    let mut found = None;
    digest_leaves(engine, std::iter::once(message), |_, digest| found = Some(digest));
    found.expect("one digest for one leaf")
}

/// Bytes without a short period, so that swapped blocks are detected (a linear congruential
/// generator; constants of Knuth's MMIX).
fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 56) as u8
        })
        .collect()
}

#[test]
fn every_engine_gives_the_published_answers() {
    // FIPS 180-4 examples (csrc.nist.gov, "SHA-256" examples) and the million times "a" of FIPS
    // 180-2 §B.3.
    let million = vec![b'a'; 1_000_000];
    let answers: [(&[u8], &str); 4] = [
        (b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
        ),
        (&million, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
    ];
    let answers = &answers[..if cfg!(miri) { 3 } else { 4 }];
    for engine in engines() {
        for &(message, expected) in answers {
            assert_eq!(
                hex(&as_leaf(engine, message)),
                expected,
                "{engine:?}, {} bytes",
                message.len()
            );
            assert_eq!(
                hex(&streamed(engine, message, 61)),
                expected,
                "{engine:?}, {} bytes in pieces",
                message.len()
            );
        }
    }
}

#[test]
fn every_length_around_the_block_border_is_padded_right() {
    let lengths: Vec<usize> =
        if cfg!(miri) { vec![0, 55, 56, 63, 64, 119, 120] } else { (0..=260).collect() };
    for len in lengths {
        let message = noise(len, 7);
        let expected = as_leaf(Engine::soft(), &message);
        for engine in engines() {
            assert_eq!(as_leaf(engine, &message), expected, "{engine:?}, {len} bytes");
            for piece in [1, 63, 64, 65, 128] {
                assert_eq!(
                    streamed(engine, &message, piece),
                    expected,
                    "{engine:?}, {len} bytes in pieces of {piece}"
                );
            }
        }
    }
}

#[test]
fn leaves_of_mixed_lengths_keep_their_positions() {
    for engine in engines() {
        for count in (0..=9).step_by(if cfg!(miri) { 3 } else { 1 }) {
            let leaves: Vec<Vec<u8>> = (0..count)
                .map(|index| {
                    noise([LONG, 1, 0, 64, 2 * LONG, 55, 56, 200][index % 8], index as u64)
                })
                .collect();
            let mut found = vec![None; count];
            digest_leaves(engine, leaves.iter().map(Vec::as_slice), |position, digest| {
                assert!(
                    found[position].replace(digest).is_none(),
                    "leaf {position} was handed out twice"
                );
            });
            for (leaf, digest) in leaves.iter().zip(found) {
                assert_eq!(digest, Some(as_leaf(Engine::soft(), leaf)), "{engine:?}");
            }
        }
    }
}

#[test]
fn one_flipped_bit_changes_the_digest() {
    let mut message = noise(LONG, 3);
    for engine in engines() {
        let clean = as_leaf(engine, &message);
        for position in [0, 63, 64, LONG / 2, LONG - 1] {
            message[position] ^= 1;
            assert_ne!(as_leaf(engine, &message), clean, "{engine:?}, byte {position}");
            message[position] ^= 1;
        }
    }
}
