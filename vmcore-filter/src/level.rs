//! What a dump leaves out.

/// What a dump leaves out, with makedumpfile's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// 0: nothing.
    Everything,
    /// 1: pages of zeroes share one page of data.
    NoZeroes,
    /// 17: free pages too.
    NoFreeOrZeroes,
}

impl Level {
    /// All levels.
    pub const ALL: [Self; 3] = [Self::Everything, Self::NoZeroes, Self::NoFreeOrZeroes];

    /// The level with a number, if it is one of these.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.number() == number)
    }

    /// Its number: 1 for zeroes, 16 for free pages.
    pub fn number(self) -> u32 {
        match self {
            Self::Everything => 0,
            Self::NoZeroes => 1,
            Self::NoFreeOrZeroes => 17,
        }
    }

    /// Whether pages of zeroes have no data of their own.
    pub(crate) fn shares_zeroes(self) -> bool {
        self != Self::Everything
    }
}
