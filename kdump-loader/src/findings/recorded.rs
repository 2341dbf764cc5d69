//! The warnings of `load` in the record of the armed image.

use serde::{Deserialize, Serialize};

use crate::findings::advice::Advice;
use crate::findings::{Code, Finding, Level};

/// A warning. Records of older loaders have a plain sentence instead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored")]
pub struct RecordedAdvice {
    /// The word of its [`Code`]. A newer loader's code may be unknown here.
    pub code: String,
    /// Its effect on the dump.
    pub level: Level,
    /// The sentence.
    pub message: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Stored {
    Coded { code: String, level: Level, message: String },
    Sentence(String),
}

impl From<Stored> for RecordedAdvice {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::Coded { code, level, message } => Self { code, level, message },
            Stored::Sentence(message) => {
                Self { code: Code::Advice.word().to_owned(), level: Code::Advice.level(), message }
            }
        }
    }
}

impl From<&Advice> for RecordedAdvice {
    fn from(advice: &Advice) -> Self {
        Self {
            code: advice.code().word().to_owned(),
            level: advice.level(),
            message: advice.to_string(),
        }
    }
}

impl RecordedAdvice {
    /// The same warning as a finding of `status`.
    pub fn finding(&self) -> Finding {
        let code = Code::of_word(&self.code).unwrap_or(Code::Advice);
        Finding { level: self.level, ..Finding::new(code, self.message.clone()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Finding {
        serde_json::from_str::<RecordedAdvice>(text).unwrap().finding()
    }

    #[test]
    fn current_advice_survives_a_round_trip() {
        let advice = RecordedAdvice::from(&Advice::MemoryHotplug);
        let finding = read(&serde_json::to_string(&advice).unwrap());
        assert_eq!((finding.code, finding.level), (Code::MemoryHotplug, Level::Warning));
        assert_eq!(finding.message, Advice::MemoryHotplug.to_string());
    }

    #[test]
    fn sentence_of_an_older_record_is_a_warning() {
        let finding = read(r#""add acpi_no_memhotplug""#);
        assert_eq!((finding.code, finding.level), (Code::Advice, Level::Warning));
        assert_eq!(finding.message, "add acpi_no_memhotplug");
    }

    #[test]
    fn code_of_a_newer_loader_keeps_its_level() {
        let finding = read(r#"{"code": "from_the_future", "level": "error", "message": "x"}"#);
        assert_eq!((finding.code, finding.level), (Code::Advice, Level::Error));
    }
}
