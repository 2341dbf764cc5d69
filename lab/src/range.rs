//! Several measurements of one thing: the least, the median and the most.

use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    pub least: f64,
    pub median: f64,
    pub most: f64,
}

impl Range {
    /// Of at least one measurement. The median of an even number is between the middle two.
    pub fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut all: Vec<f64> = values.collect();
        all.sort_by(f64::total_cmp);
        let last = all.len() - 1;
        let median = f64::midpoint(all[last / 2], all[last.div_ceil(2)]);
        Self { least: all[0], median, most: all[last] }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { least, median, most } = self;
        write!(out, "{median:.1} ({least:.1} to {most:.1})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_of_an_even_number_is_between_the_middle_two() {
        let of = |values: &[f64]| Range::of(values.iter().copied());
        assert_eq!(of(&[9.0, 1.0, 2.0, 4.0]), Range { least: 1.0, median: 3.0, most: 9.0 });
        assert_eq!(of(&[3.0, 1.0, 2.0]).median, 2.0);
    }
}
