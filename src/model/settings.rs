//! stub
use super::spec::{ClaudeAuth, Resources};
use std::collections::BTreeMap;
/// x
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// x
    pub poll_interval_ms: u64,
    /// x
    pub pools: BTreeMap<String, PoolSettings>,
    /// x
    pub claude: ClaudeSettings,
    /// x
    pub min_free_bytes: u64,
}
/// x
#[derive(Debug, Clone, PartialEq)]
pub struct PoolSettings {
    /// x
    pub slots: u32,
    /// x
    pub resources: Resources,
}
/// x
#[derive(Debug, Clone, PartialEq)]
pub struct ClaudeSettings {
    /// x
    pub binary: String,
    /// x
    pub model: String,
    /// x
    pub auth: ClaudeAuth,
}
