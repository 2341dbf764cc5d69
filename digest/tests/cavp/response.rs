//! The format of NIST's response files: `Name = value` lines, comments behind `#`, headings in
//! brackets.

use digest::Digest;

/// A message and its digest.
pub struct Vector {
    /// The message.
    pub message: Vec<u8>,
    /// Its SHA-256.
    pub digest: Digest,
}

/// A chain of digests, each of which stands for a thousand more (SHAVS, "The Pseudorandomly
/// Generated Messages Test").
pub struct Chain {
    /// Where it begins.
    pub seed: Digest,
    /// Every thousandth digest.
    pub checkpoints: Vec<Digest>,
}

/// The vectors of SHA256ShortMsg.rsp or SHA256LongMsg.rsp. Panics if the text is something else.
pub fn messages(text: &str) -> Vec<Vector> {
    let fields: Vec<(&str, &str)> = fields(text).collect();
    let vector = |three: &[(&str, &str)]| {
        let [("Len", bits), ("Msg", message), ("MD", digest)] = three else {
            panic!("{three:?} is no vector")
        };
        let bits: usize = bits.parse().expect("a length in decimal");
        assert!(bits.is_multiple_of(8), "{bits} bits are no bytes");
        let mut message = bytes(message);
        // The empty message is written as one byte.
        message.truncate(bits / 8);
        assert_eq!(message.len(), bits / 8, "the message is shorter than it says");
        Vector { message, digest: one_digest(digest) }
    };
    fields.chunks(3).map(vector).collect()
}

/// The chain of SHA256Monte.rsp. Panics if the text is something else.
pub fn chain(text: &str) -> Chain {
    let mut fields = fields(text);
    let Some(("Seed", seed)) = fields.next() else { panic!("the first field is no seed") };
    let fields: Vec<(&str, &str)> = fields.collect();
    let checkpoint = |(index, two): (usize, &[(&str, &str)])| {
        let [("COUNT", count), ("MD", digest)] = two else { panic!("{two:?} is no checkpoint") };
        assert_eq!(count.parse(), Ok(index), "a checkpoint is missing");
        one_digest(digest)
    };
    Chain {
        seed: one_digest(seed),
        checkpoints: fields.chunks(2).enumerate().map(checkpoint).collect(),
    }
}

fn fields(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with(['#', '[']));
    lines.map(|line| line.split_once(" = ").unwrap_or_else(|| panic!("{line:?} is no field")))
}

fn one_digest(hex: &str) -> Digest {
    bytes(hex).try_into().unwrap_or_else(|_| panic!("{hex} is no digest"))
}

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |digit: u8| {
        (digit as char).to_digit(16).unwrap_or_else(|| panic!("{digit:#x} is no hexadecimal digit"))
    };
    let (pairs, rest) = hex.as_bytes().as_chunks();
    assert!(rest.is_empty(), "half a byte at the end");
    pairs.iter().map(|&[high, low]| (digit(high) << 4 | digit(low)) as u8).collect()
}
