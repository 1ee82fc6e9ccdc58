//! What decides about a task: what it needs, its rule, its condition, and of which list it is one or has one for each.

use crate::config::theme::Role;
use crate::model::message::TaskDetail;
use crate::model::spec::Rule;
use crate::model::state::TaskKind;
use crate::tui::app::App;
use crate::tui::data::row::TaskRow;

use super::Sheet;

pub(super) fn sheet(app: &App, row: Option<&TaskRow>, detail: &TaskDetail, sheet: &mut Sheet) {
    let (spec, task) = (&detail.spec, &detail.task);
    let is_instance = task.mapping.is_none() && spec.each.is_some();
    if is_instance {
        let parent = task.parent.as_deref().unwrap_or_default();
        sheet.field("instance of", &format!("{}/{parent}", detail.job), Role::Text);
        let index = task.id.rsplit_once('/').map_or("", |(_, index)| index);
        sheet.field("index", index, Role::Text);
        let item = match &detail.item {
            Some(serde_json::Value::String(text)) => text.clone(),
            Some(item) => serde_json::to_string_pretty(item).unwrap_or_default(),
            None => task.item.clone().unwrap_or_default(),
        };
        sheet.field("item", &item, Role::Text);
        return;
    }
    sheet.field("needs", &spec.needs.join(", "), Role::Text);
    if spec.rule != Rule::default() {
        sheet.field("rule", spec.rule.word(), Role::Text);
    }
    sheet.field("if", spec.when.as_deref().unwrap_or_default(), Role::Code);
    if spec.finally {
        sheet.field("finally", "runs when everything else is over, whatever happened", Role::Text);
    }
    if let Some(each) = &spec.each {
        sheet.field(each.over.key(), &each.over.line(), Role::Code);
        sheet.field("max_parallel", &each.max_parallel.map(|most| most.to_string()).unwrap_or_default(), Role::Text);
        instances(app, row, sheet);
    }
    sheet.field("queued by", task.parent.as_deref().unwrap_or_default(), Role::Text);
}

fn instances(app: &App, row: Option<&TaskRow>, sheet: &mut Sheet) {
    let Some(instances) = row.and_then(TaskRow::instances) else { return };
    let total = instances.counts.total();
    sheet.field("instances", &if total == 0 { "none yet".to_owned() } else { total.to_string() }, Role::Text);
    for kind in TaskKind::ALL {
        let count = instances.counts.of(kind);
        if count > 0 {
            let (sign, role) = app.look.sign(kind);
            sheet.field("", &format!("{sign} {count} {}", kind.word()), role);
        }
    }
    if instances.gone > 0 {
        sheet.field("", &format!("+{} of an earlier list", instances.gone), Role::Dim);
    }
}
