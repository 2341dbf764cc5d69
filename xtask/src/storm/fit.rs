//! A straight line through what was measured, by least squares.

use serde::Serialize;

/// `y = base + slope · x`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Line {
    /// Where it starts.
    pub base: f64,
    /// What each further block costs.
    pub slope: f64,
    /// The farthest that a measured point lies from it.
    pub worst: f64,
    /// How many points it is drawn through: two lie on every line.
    pub points: usize,
}

impl Line {
    /// The line through `points`; none through fewer than two different x.
    pub fn through(points: &[(f64, f64)]) -> Option<Self> {
        let count = points.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
        let (mean_x, mean_y) = (mean(|point| point.0), mean(|point| point.1));
        let spread: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
        if points.len() < 2 || spread == 0.0 {
            return None;
        }
        let slope = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum::<f64>() / spread;
        let base = mean_y - slope * mean_x;
        let worst = points.iter().map(|(x, y)| (y - (base + slope * x)).abs()).fold(0.0, f64::max);
        Some(Self { base, slope, worst, points: points.len() })
    }

    /// Its y at `x`.
    pub fn at(self, x: f64) -> f64 {
        self.base + self.slope * x
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_on_a_line_give_that_line() {
        let line = Line::through(&[(8.0, 11.0), (32.0, 35.0), (128.0, 131.0)]).unwrap();
        assert!((line.base - 3.0).abs() < 1e-9 && (line.slope - 1.0).abs() < 1e-9 && line.worst < 1e-9, "{line:?}");
        assert!((line.at(3840.0) - 3843.0).abs() < 1e-6);
    }

    #[test]
    fn farthest_point_is_told() {
        let line = Line::through(&[(0.0, 0.0), (1.0, 3.0), (2.0, 0.0)]).unwrap();
        assert!((line.base - 1.0).abs() < 1e-9 && line.slope.abs() < 1e-9 && (line.worst - 2.0).abs() < 1e-9, "{line:?}");
    }

    #[test]
    fn one_point_is_no_line() {
        assert_eq!(Line::through(&[]), None);
        assert_eq!(Line::through(&[(8.0, 1.0)]), None);
        assert_eq!(Line::through(&[(8.0, 1.0), (8.0, 2.0)]), None);
    }
}
