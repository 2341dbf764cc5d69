//! NIST's vectors (CAVP, "SHA Test Vectors for Hashing Byte-Oriented Messages") in every engine and
//! each of its stream slots.
//!
//! With a harness of its own, which reports an engine that this CPU lacks as ignored, with the
//! reason, and not as passed. `tests/fixtures/README.md` says where the files come from.

mod response;

use std::process::ExitCode;

use digest::{BLOCK_LEN, Digest, Engine, EngineKind, Sha256, digest_leaves};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use sha2::Digest as _;

/// A file of vectors: its text, the SHA-256 of NIST's file, and its number of digests.
struct File {
    text: &'static str,
    sha256: &'static str,
    digests: usize,
}

macro_rules! file {
    ($name:literal, $sha256:literal, $digests:literal) => {
        File {
            text: include_str!(concat!("../../../tests/fixtures/cavp-sha256/", $name)),
            sha256: $sha256,
            digests: $digests,
        }
    };
}

const SHORT: File = file!(
    "SHA256ShortMsg.rsp",
    "75e1cb83994638481808e225b9eb0c1ebd0c232d952ac42b61abce6363be283c",
    65
);
const LONG: File = file!(
    "SHA256LongMsg.rsp",
    "6fac36f37360bcf74ffcf4465c18e30d6d5a04cc90885b901fc3130c16060974",
    64
);
const MONTE: File = file!(
    "SHA256Monte.rsp",
    "29ea30c6bb4b84e425fb8c1d731c6bb852dac935825f2bd1143e5d3c4f10bfb9",
    100
);

/// Digests from one checkpoint of the Monte Carlo test to the next (SHAVS, Figure 1).
const PER_CHECKPOINT: usize = 1000;

fn main() -> ExitCode {
    let mut trials = vec![Trial::test("files_are_as_nist_published_them", files)];
    for kind in EngineKind::ALL {
        let mut with_engine = |what: &str, test: fn(Engine)| {
            let name = format!("{what}_{}", kind.name());
            trials.push(Trial::ignorable_test(name, move || match Engine::detect(kind) {
                Some(engine) => {
                    test(engine);
                    Ok(Completion::Completed)
                }
                None => {
                    Ok(Completion::ignored_with(format!("this CPU cannot run {}", kind.name())))
                }
            }));
        };
        with_engine("short_messages_in_every_slot_of", |engine| messages_in_slots(engine, &SHORT));
        with_engine("long_messages_in_every_slot_of", |engine| messages_in_slots(engine, &LONG));
        with_engine("monte_carlo_in_every_slot_of", monte_carlo_in_slots);
        with_engine("short_messages_in_pieces_through", |engine| {
            messages_in_pieces(engine, &SHORT)
        });
        with_engine("long_messages_in_pieces_through", |engine| messages_in_pieces(engine, &LONG));
        with_engine("monte_carlo_in_pieces_through", monte_carlo_in_pieces);
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn files() -> Result<(), Failed> {
    for (name, file) in [("SHA256ShortMsg", SHORT), ("SHA256LongMsg", LONG), ("SHA256Monte", MONTE)]
    {
        let found: String =
            sha2::Sha256::digest(file.text).iter().map(|byte| format!("{byte:02x}")).collect();
        if found != file.sha256 {
            return Err(format!(
                "the SHA-256 of {name}.rsp is {found}: it is not the file that was published"
            )
            .into());
        }
    }
    Ok(())
}

fn vectors(file: &File) -> Vec<response::Vector> {
    let vectors = response::messages(file.text);
    assert_eq!(vectors.len(), file.digests, "not all vectors were read");
    vectors
}

fn messages_in_slots(engine: Engine, file: &File) {
    for response::Vector { message, digest } in vectors(file) {
        for slot in 0..engine.streams() {
            for other in Neighbour::ALL {
                let found = in_slot(engine, slot, &message, other);
                assert_eq!(
                    found,
                    digest,
                    "{} bytes in slot {slot}, neighbour {other:?}",
                    message.len()
                );
            }
        }
    }
}

fn messages_in_pieces(engine: Engine, file: &File) {
    for response::Vector { message, digest } in vectors(file) {
        for piece in [1, BLOCK_LEN - 1, BLOCK_LEN, 2 * BLOCK_LEN + 1, usize::MAX] {
            assert_eq!(
                in_pieces(engine, &message, piece),
                digest,
                "{} bytes in pieces of {piece}",
                message.len()
            );
        }
    }
}

fn monte_carlo_in_slots(engine: Engine) {
    for slot in 0..engine.streams() {
        monte_carlo(|message| in_slot(engine, slot, message, Neighbour::Same));
    }
}

fn monte_carlo_in_pieces(engine: Engine) {
    monte_carlo(|message| in_pieces(engine, message, size_of::<Digest>()));
}

/// The Monte Carlo test: each message is the last three digests, and every thousandth digest is
/// known (SHAVS, Figure 1).
fn monte_carlo(mut hash: impl FnMut(&[u8]) -> Digest) {
    let chain = response::chain(MONTE.text);
    assert_eq!(chain.checkpoints.len(), MONTE.digests, "not all checkpoints were read");
    let mut seed = chain.seed;
    for (count, checkpoint) in chain.checkpoints.into_iter().enumerate() {
        let mut last = [seed; 3];
        for _ in 0..PER_CHECKPOINT {
            last = [last[1], last[2], hash(last.as_flattened())];
        }
        seed = last[2];
        assert_eq!(seed, checkpoint, "checkpoint {count}");
    }
}

/// The length of the messages in the other slots.
#[derive(Clone, Copy, Debug)]
enum Neighbour {
    /// The same: all slots end in the same step.
    Same,
    /// Longer by more than the padding: the message stays in its slot until it ends.
    Longer,
    /// Half: unless the message is in the first slot, it moves to another slot midway.
    Shorter,
}

impl Neighbour {
    const ALL: [Self; 3] = [Self::Same, Self::Longer, Self::Shorter];

    /// What is in slot `slot` beside a message of `len` bytes.
    fn content(self, slot: usize, len: usize) -> Vec<u8> {
        let len = match self {
            Self::Same => len,
            Self::Longer => len + 3 * BLOCK_LEN,
            Self::Shorter => len / 2,
        };
        (0..len).map(|index| ((index * 167) >> 3) as u8 ^ !(slot as u8)).collect()
    }
}

/// The digest of `message` when it starts in slot `slot` and something else in each of the others,
/// whose digests must also be right.
fn in_slot(engine: Engine, slot: usize, message: &[u8], other: Neighbour) -> Digest {
    let content = |at| if at == slot { message.to_vec() } else { other.content(at, message.len()) };
    let leaves: Vec<Vec<u8>> = (0..engine.streams()).map(content).collect();
    let mut digests = vec![None; leaves.len()];
    digest_leaves(engine, leaves.iter().map(Vec::as_slice), |position, digest| {
        assert!(
            digests[position].replace(digest).is_none(),
            "slot {position} was handed out twice"
        );
    });
    for (at, (leaf, digest)) in
        leaves.iter().zip(&digests).enumerate().filter(|(at, _)| *at != slot)
    {
        assert_eq!(
            *digest,
            Some(sha2::Sha256::digest(leaf).into()),
            "the neighbour in slot {at} of one in slot {slot}"
        );
    }
    digests[slot].expect("a digest for the message")
}

fn in_pieces(engine: Engine, message: &[u8], piece: usize) -> Digest {
    let mut hasher = Sha256::new(engine);
    message.chunks(piece).for_each(|bytes| hasher.update(bytes));
    hasher.finish()
}
