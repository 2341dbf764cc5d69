//! `[4a]` Which engine of the digest crate a number in the block names, and back.

use digest::{Engine, EngineKind};
use handoff::EngineId;

/// The kind of engine that the block names.
pub const fn kind(id: EngineId) -> EngineKind {
    match id {
        EngineId::Soft => EngineKind::Soft,
        EngineId::ShaNi => EngineKind::ShaNi,
    }
}

/// The number of an engine, for the report.
pub const fn id(engine: Engine) -> EngineId {
    match engine.kind() {
        EngineKind::Soft => EngineId::Soft,
        EngineKind::ShaNi => EngineId::ShaNi,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_engine_has_one_number_and_one_name() {
        let kinds = EngineKind::ALL;
        assert_eq!(EngineId::ALL.len(), kinds.len());
        for &id in EngineId::ALL {
            assert_eq!(id.word(), kind(id).name());
        }
        assert_eq!(id(Engine::soft()), EngineId::Soft);
    }
}
