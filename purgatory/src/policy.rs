//! `[8]` How to end when the story cannot continue. The block decides, as far as it can be trusted.
//!
//! *On entry*: the block as it is in memory. Before the seal is verified, any bit may be wrong. One
//! wrong bit turns a delay of seconds into days, or `boot` into `halt`.
//!
//! *On exit*: an ending that comes within bounded time, unless a proven block asks for `halt`.

use handoff::block::{DEFAULT_RESET_DELAY_MS, MAX_TSC_KHZ};
use handoff::{Block, OnCorrupt, Permissions};

/// How far the block can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Its seal holds.
    Proven,
    /// Its seal is not verified, or does not hold.
    Alleged,
}

/// How to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Halt the CPU.
    Halt,
    /// Wait, then reset.
    Reset {
        /// How long to wait in milliseconds, so that a person can read the message.
        delay_ms: u32,
        /// The same in ticks of the time-stamp counter.
        ticks: u64,
    },
}

/// The ending that `block` asks for. `boot` is no ending, so it means a reset.
pub fn ending(block: &Block, trust: Trust) -> Ending {
    let action = OnCorrupt::from_wire(block.on_corrupt.get());
    if trust == Trust::Proven && action == Some(OnCorrupt::Halt) {
        return Ending::Halt;
    }
    let asked = block.reset_delay_ms.get();
    let delay_ms = if trust == Trust::Proven { asked } else { asked.min(DEFAULT_RESET_DELAY_MS) };
    let tsc_khz = block.tsc_khz.get().clamp(1, MAX_TSC_KHZ);
    Ending::Reset { delay_ms, ticks: u64::from(delay_ms) * u64::from(tsc_khz) }
}

/// The permissions on the way to the end; none if the block's are invalid.
pub fn permissions(block: &Block) -> Permissions {
    Permissions::from_wire(block.permissions.get()).unwrap_or(Permissions::NONE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::received::tests::good_block;
    use zerocopy::little_endian::U32;

    #[test]
    fn proven_block_decides_the_ending() {
        let mut block = good_block();
        block.reset_delay_ms = U32::new(60_000);
        let expected = Ending::Reset { delay_ms: 60_000, ticks: 60_000 * 2_000_000 };
        assert_eq!(ending(&block, Trust::Proven), expected);
        block.on_corrupt = U32::new(OnCorrupt::Boot as u32);
        assert_eq!(ending(&block, Trust::Proven), expected);
        block.on_corrupt = U32::new(OnCorrupt::Halt as u32);
        assert_eq!(ending(&block, Trust::Proven), Ending::Halt);
    }

    #[test]
    fn no_flipped_bit_of_an_unproven_block_keeps_the_machine_for_long() {
        use zerocopy::IntoBytes;
        let longest = u64::from(DEFAULT_RESET_DELAY_MS) * u64::from(MAX_TSC_KHZ);
        // Miri is slow: it tries one bit of 509, which covers every bit of a byte.
        for bit in (0..size_of::<Block>() * 8).step_by(if cfg!(miri) { 509 } else { 1 }) {
            let mut block = good_block();
            block.as_mut_bytes()[bit / 8] ^= 1 << (bit % 8);
            let Ending::Reset { delay_ms, ticks } = ending(&block, Trust::Alleged) else {
                panic!("bit {bit} halts")
            };
            assert!(
                delay_ms <= DEFAULT_RESET_DELAY_MS && ticks <= longest,
                "bit {bit}: {delay_ms} ms, {ticks} ticks"
            );
        }
    }

    #[test]
    fn unknown_permissions_allow_nothing() {
        let mut block = good_block();
        block.permissions = U32::new(0x8000_001f);
        assert_eq!(permissions(&block), Permissions::NONE);
    }
}
