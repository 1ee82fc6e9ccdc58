//! placeholder
use super::{
    attempt::AddedTask,
    spec::{TaskDefaults, TaskSpec},
};
/// x
/// # Errors
/// x
pub fn build(added: AddedTask, id: &str, defaults: &TaskDefaults, known: &dyn Fn(&str) -> bool) -> Result<TaskSpec, String> {
    let _ = known;
    Ok(TaskSpec {
        id: id.to_owned(),
        needs: added.needs,
        action: added.action,
        env: Default::default(),
        workspace: None,
        pool: None,
        limits: defaults.clone(),
        accept: None,
        result: None,
    })
}
