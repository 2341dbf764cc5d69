//! Turns: every contestant verifies every image as often as the others, one after the other, round by round, so that a busy minute of this
//! machine is nobody's alone.

use anyhow::{Result, ensure};
use serde::Serialize;

use super::contestants::{Answer, Contestant};
use super::images::Image;
use crate::repository::Repository;

/// What one contestant made of one image.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// Who.
    pub contestant: String,
    /// Of which version.
    pub version: String,
    /// Wall times in seconds, ascending.
    pub seconds: Vec<f64>,
    /// Bytes that came from files.
    pub file_bytes: u64,
    /// Those and the zeroes behind them.
    pub memory_bytes: u64,
    /// Bytes that went through SHA-256.
    pub hashed_bytes: u64,
}

/// One image, and everybody.
#[derive(Clone, Debug, Serialize)]
pub struct Race {
    /// What was verified.
    pub image: Image,
    /// By whom.
    pub contestants: Vec<Measured>,
}

impl Measured {
    /// The median, in seconds.
    pub fn median(&self) -> f64 {
        median(&self.seconds)
    }

    /// The quickest and the slowest, in seconds.
    pub fn spread(&self) -> (f64, f64) {
        (self.seconds[0], self.seconds[self.seconds.len() - 1])
    }
}

/// The middle one of ascending values, or the mean of the middle two.
pub fn median(ascending: &[f64]) -> f64 {
    let middle = ascending.len() / 2;
    if ascending.len() % 2 == 1 { ascending[middle] } else { (ascending[middle - 1] + ascending[middle]) / 2.0 }
}

/// Lets everybody verify everything.
pub fn measure(repo: &Repository, contestants: &[Contestant], images: &[Image], turns: u32) -> Result<Vec<Race>> {
    images.iter().map(|image| one_image(repo, contestants, image, turns)).collect()
}

fn one_image(repo: &Repository, contestants: &[Contestant], image: &Image, turns: u32) -> Result<Race> {
    let mut answers: Vec<Vec<Answer>> = contestants.iter().map(|_| Vec::new()).collect();
    let (rounds, repetitions) = if image.large { (1, turns) } else { (turns, 1) };
    for round in 1..=rounds {
        eprintln!("{}: round {round} of {rounds}", image.name);
        for (contestant, answers) in contestants.iter().zip(&mut answers) {
            let answer = contestant.run(repo, image, repetitions, false)?;
            ensure!(answer.sound, "{} does not take a sound image: {}", contestant.name, answer.verdict);
            answers.push(answer);
        }
    }
    let measured = |(contestant, answers): (&Contestant, Vec<Answer>)| {
        let mut seconds: Vec<f64> = answers.iter().flat_map(|answer| answer.seconds.iter().copied()).collect();
        seconds.sort_by(f64::total_cmp);
        let Answer { file_bytes, memory_bytes, hashed_bytes, .. } = answers[0];
        let (name, version) = (contestant.name.clone(), contestant.version.clone());
        Measured { contestant: name, version, seconds, file_bytes, memory_bytes, hashed_bytes }
    };
    Ok(Race { image: image.clone(), contestants: contestants.iter().zip(answers).map(measured).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_the_middle_of_ascending_values() {
        assert_eq!(median(&[1.0, 2.0, 9.0]), 2.0);
        assert_eq!(median(&[1.0, 2.0, 4.0, 9.0]), 3.0);
    }
}
