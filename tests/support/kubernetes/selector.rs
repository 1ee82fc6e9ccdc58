//! Which pods a list or watch is about.

use serde_json::Value;

use super::http::Request;
use super::refusal::{Refusal, bad_request};
use super::store::Labels;

/// Equality of labels, and fields of the object.
#[derive(Debug, Clone, Default)]
pub struct Selector {
    namespace: Option<String>,
    labels: Vec<(String, String, bool)>,
    /// Labels that must be there.
    present: Vec<String>,
    fields: Vec<(String, String, bool)>,
}

/// Fields that a pod can be selected by.
const FIELDS: &[&str] = &["metadata.name", "metadata.namespace", "spec.nodeName", "spec.restartPolicy", "status.phase"];

impl Selector {
    pub fn of(request: &Request, namespace: Option<&str>) -> Result<Selector, Refusal> {
        let mut selector = Selector { namespace: namespace.map(str::to_owned), ..Selector::default() };
        for part in request.param("labelSelector").unwrap_or_default().split(',').filter(|part| !part.is_empty()) {
            match pair(part) {
                Some(pair) => selector.labels.push(pair),
                None => match part.trim().split_once(' ') {
                    None => selector.present.push(part.trim().to_owned()),
                    Some((_, rest)) => {
                        let message =
                            format!("unable to parse requirement: found '{rest}', expected: in, notin, =, ==, !=, gt, lt");
                        return Err(bad_request(message));
                    }
                },
            }
        }
        for part in request.param("fieldSelector").unwrap_or_default().split(',').filter(|part| !part.is_empty()) {
            let Some(pair) = pair(part).filter(|(key, _, _)| FIELDS.contains(&key.as_str())) else {
                let key = part.split(['=', '!']).next().unwrap_or_default();
                return Err(bad_request(format!("field label not supported: {key}")));
            };
            selector.fields.push(pair);
        }
        Ok(selector)
    }

    /// By labels alone, and the name.
    pub fn fits_labels(&self, namespace: &str, name: &str, labels: &Labels) -> bool {
        let of = |key: &str| labels.get(key).map(String::as_str);
        self.namespace.as_ref().is_none_or(|only| only == namespace)
            && self.labels.iter().all(|(key, value, is_equal)| (of(key) == Some(value)) == *is_equal)
            && self.present.iter().all(|key| labels.contains_key(key))
            && self
                .fields
                .iter()
                .filter(|(key, ..)| key == "metadata.name")
                .all(|(_, value, is_equal)| (name == value) == *is_equal)
    }

    pub fn fits(&self, namespace: &str, name: &str, labels: &Labels, object: &Value) -> bool {
        let of = |path: &str| path.split('.').fold(object, |value, key| &value[key]).as_str().unwrap_or_default();
        self.fits_labels(namespace, name, labels)
            && self.fields.iter().all(|(key, value, is_equal)| (of(key) == value) == *is_equal)
    }
}

/// `a=b`, `a==b` or `a!=b`.
pub fn pair(part: &str) -> Option<(String, String, bool)> {
    let (key, value, is_equal) = match part.split_once("!=") {
        Some((key, value)) => (key, value, false),
        None => part.split_once("==").or_else(|| part.split_once('=')).map(|(key, value)| (key, value, true))?,
    };
    Some((key.trim().to_owned(), value.trim().to_owned(), is_equal))
}
