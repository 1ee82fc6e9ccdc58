//! Laying what we set over what a template says.

use serde_json::Value;

/// Lays `over` over `under`: mappings are joined key by key, everything else is replaced.
pub(super) fn lay(under: &mut Value, over: Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                lay(under.entry(key).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over,
    }
}

/// Adds to a list of a mapping, which is made when it is not there. Nothing added is nothing changed.
pub(super) fn append(under: &mut Value, key: &str, items: Vec<Value>) {
    if items.is_empty() {
        return;
    }
    match under.get_mut(key) {
        Some(Value::Array(there)) => there.extend(items),
        _ => under[key] = Value::Array(items),
    }
}
