use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn misfit(schema: Value, value: Value) -> String {
    check(&schema).unwrap();
    fits(&schema, &value).unwrap_err()
}

#[test]
fn what_does_not_fit_is_told_with_its_place_what_was_expected_and_what_was_found() {
    let schema = json!({
        "type": "object", "required": ["b"], "additionalProperties": false,
        "properties": { "a": { "type": "array", "items": { "type": "string" } }, "b": { "enum": [1, "two"] } },
    });
    check(&schema).unwrap();
    fits(&schema, &json!({ "a": ["x"], "b": "two" })).unwrap();
    let wrong = |value: Value| fits(&schema, &value).unwrap_err();
    assert_eq!(wrong(json!({ "a": ["x", 1], "b": 1 })), "at /a/1: expected string, found 1");
    assert_eq!(wrong(json!({ "b": 3 })), "at /b: expected one of 1, \"two\", found 3");
    assert_eq!(wrong(json!({ "a": [] })), "at the top: expected the key `b`, found {\"a\":[]}");
    assert_eq!(wrong(json!({ "b": 1, "c": 2 })), "at the top: expected no key `c`, found {\"b\":1,\"c\":2}");
    assert_eq!(wrong(json!([1])), "at the top: expected object, found [1]");
}

#[test]
fn of_alternatives_the_one_that_fits_furthest_is_told() {
    let shape = json!({ "anyOf": [{ "type": "string" }, { "type": "object", "properties": { "x": { "type": "number" } } }] });
    assert_eq!(misfit(shape.clone(), json!({ "x": "no" })), "at /x: expected number, found \"no\"");
    assert_eq!(misfit(shape, json!(3)), "at the top: expected string or object, found 3");
}

#[test]
fn what_is_told_is_bounded_and_harmless_whatever_the_value_holds() {
    let told = misfit(json!({ "items": { "type": "number" } }), json!(vec!["y".repeat(10_000); 100]));
    assert!(told.len() < 1_500 && told.ends_with("; and 97 more"), "{told}");
    let told = misfit(json!({ "type": "number" }), json!("\u{1b}[2Jred\nline\u{202e}"));
    assert!(!told.contains(['\u{1b}', '\n', '\u{202e}']), "{told:?}");
    let told = misfit(json!({ "additionalProperties": false }), json!({ "k".repeat(5_000): 1 }));
    assert!(told.len() < 1_000, "{}", told.len());
}

#[test]
fn formats_and_patterns_count_and_patterns_take_no_time() {
    assert!(misfit(json!({ "format": "date" }), json!("tomorrow")).contains("expected text in the form of a date"));
    let begun = std::time::Instant::now();
    misfit(json!({ "pattern": "^(a+)+$" }), json!("a".repeat(50_000) + "b"));
    assert!(begun.elapsed() < std::time::Duration::from_secs(20));
}

#[test]
fn a_schema_that_is_none_is_told_with_its_place() {
    for (schema, pointer, words) in [
        (json!([1]), "", "no JSON Schema"),
        (json!({ "properties": { "a": { "type": "strng" } } }), "/properties/a/type", "expected one of"),
        (json!({ "properties": { "a": { "minimum": "1" } } }), "/properties/a/minimum", "expected number"),
        (json!({ "items": { "pattern": "(a" } }), "/items/pattern", "no regular expression"),
        (json!({ "pattern": "(?=a)b" }), "/pattern", "no regular expression"),
        (json!({ "$ref": "#/$defs/x" }), "/$ref", "`#/$defs/x` leads nowhere"),
        (json!({ "items": { "$ref": "#there" } }), "/items/$ref", "leads nowhere"),
        (json!({ "items": { "$ref": "https://example.com/x.json" } }), "/items/$ref", "never fetched"),
        (json!({ "items": { "$ref": "file:///etc/passwd" } }), "/items/$ref", "never fetched"),
        (json!({ "items": { "$ref": "other.json#/a" } }), "/items/$ref", "`other.json` is not in this schema"),
        (json!({ "$schema": "https://example.com/draft-99" }), "/$schema", "draft `https://example.com/draft-99` is not known"),
        (json!({ "$schema": "http://json-schema.org/draft-03/schema#" }), "/$schema", "is not known"),
        (json!({ "$ref": "#" }), "/$ref", "circle"),
        (
            json!({ "$defs": { "a": { "$ref": "#/$defs/b" }, "b": { "$ref": "#/$defs/a" } }, "$ref": "#/$defs/a" }),
            "/$ref",
            "circle",
        ),
    ] {
        let fault = check(&schema).expect_err(&schema.to_string());
        assert!(fault.pointer == pointer && fault.message.contains(words), "{schema}: {fault:?}");
    }
    let large = check(&json!({ "description": "x".repeat(MAX_SCHEMA) })).unwrap_err();
    assert!(large.message.contains("more than 64 KiB"), "{large:?}");
}

#[test]
fn older_drafts_count_where_they_are_named() {
    let old = json!({ "$schema": "http://json-schema.org/draft-07/schema#", "definitions": { "n": { "type": "number" } },
                      "items": [{ "$ref": "#/definitions/n" }], "additionalItems": false });
    check(&old).unwrap();
    fits(&old, &json!([1])).unwrap();
    assert!(fits(&old, &json!([1, 2])).is_err());
    let tree = json!({ "type": "object", "properties": { "kids": { "type": "array", "items": { "$ref": "#" } } } });
    check(&tree).unwrap();
    fits(&tree, &json!({ "kids": [{ "kids": [{}] }] })).unwrap();
    assert_eq!(fits(&tree, &json!({ "kids": [{ "kids": [1] }] })).unwrap_err(), "at /kids/0/kids/0: expected object, found 1");
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        prop_oneof!["[a-z#/$~]{0,6}", Just("string".to_owned()), Just("object".to_owned())].prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        let key = prop_oneof![
            Just("type"),
            Just("properties"),
            Just("items"),
            Just("$ref"),
            Just("anyOf"),
            Just("required"),
            Just("enum"),
            Just("pattern"),
            Just("$id"),
            Just("$defs"),
            Just("not"),
            Just("x~/y"),
        ];
        let map = prop::collection::btree_map(key.prop_map(str::to_owned), inner.clone(), 0..5);
        prop_oneof![
            prop::collection::vec(inner, 0..5).prop_map(Value::from),
            map.prop_map(|map: BTreeMap<String, Value>| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

proptest! {
    /// Whatever stands there is answered: a fault leads to a place of the schema, and a misfit is told in bounded words.
    #[test]
    fn nothing_that_is_written_is_without_an_answer(schema in value(), found in value()) {
        match check(&schema) {
            Err(fault) => prop_assert!(schema.pointer(&fault.pointer).is_some() && !fault.message.is_empty(), "{fault:?}"),
            Ok(()) => if let Err(why) = fits(&schema, &found) {
                prop_assert!(!why.is_empty() && why.len() < 3_000);
            }
        }
    }
}
