//! stub
use std::collections::BTreeMap;
/// x
pub struct Context {
    /// x
    pub job: String,
    /// x
    pub params: BTreeMap<String, serde_json::Value>,
    /// x
    pub results: BTreeMap<String, serde_json::Value>,
}
/// x
pub struct RenderedShell {
    /// x
    pub script: String,
    /// x
    pub vars: Vec<(String, String)>,
}
/// x
/// # Errors
/// x
pub fn render_text(t: &str, _c: &Context) -> Result<String, String> {
    Ok(t.to_owned())
}
/// x
/// # Errors
/// x
pub fn render_shell(t: &str, _c: &Context, _n: usize) -> Result<RenderedShell, String> {
    Ok(RenderedShell { script: t.to_owned(), vars: vec![] })
}
