//! placeholder
use super::{report::EndReport, spec::TaskSpec, state::Outcome};
/// x
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// x
    Nothing,
    /// x
    Cancel,
    /// x
    Kill,
}
/// x
pub fn classify(_end: &EndReport, _asked: Asked, _spec: &TaskSpec) -> Outcome {
    Outcome::Succeeded
}
