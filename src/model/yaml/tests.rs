use proptest::prelude::*;

use super::*;

fn faults(text: &str) -> Vec<String> {
    parse(text).faults.into_iter().map(|fault| format!("{}:{}: {}", fault.line, fault.column, fault.message)).collect()
}

#[test]
fn yaml_and_json_give_the_same_tree() {
    let yaml = parse("a: 1\nb: [x, 'y', true, null]\n").root.unwrap().to_json();
    let json = parse("{\"a\": 1,\n\t\"b\": [\"x\", \"y\", true, null]}").root.unwrap().to_json();
    assert_eq!(yaml, json);
    assert_eq!(json, serde_json::json!({"a": 1, "b": ["x", "y", true, null]}));
}

#[test]
fn json_keeps_its_own_escapes() {
    let root = parse(r#"{"a": "\ud83d\ude00\t\/"}"#).root.unwrap().to_json();
    assert_eq!(root, serde_json::json!({"a": "😀\t/"}));
}

#[test]
fn places_are_lines_and_columns_from_one() {
    for text in ["a: b\nc:\n  - dé: e\n", "{\"a\": \"b\",\n \"c\": [\n   {\"dé\": \"e\"}]}"] {
        let Some(Node { value: Value::Map(entries), line: 1, column: 1 }) = parse(text).root else { panic!("no map: {text}") };
        let Value::List(items) = &entries[1].1.value else { panic!("no list: {text}") };
        let Value::Map(inner) = &items[0].value else { panic!("no inner map: {text}") };
        assert_eq!((inner[0].0.line, inner[0].1.column - inner[0].0.column), (3, if text.starts_with('{') { 6 } else { 4 }));
    }
}

#[test]
fn what_could_blow_up_or_mean_something_else_is_refused() {
    assert_eq!(
        faults("a: &x [1]\nb: *x\n"),
        ["1:4: anchors (`&name`) are not supported", "2:4: aliases (`*name`) are not supported"]
    );
    assert_eq!(faults("a: !run x\n"), ["1:4: the tag `!run` means nothing here"]);
    assert_eq!(faults("a: 1\n---\nb: 2\n"), ["2:1: a second document begins here"]);
    assert!(faults(&"[".repeat(100))[0].contains("deeper than 64"));
    assert_eq!(faults(&"[".repeat(100_000)).len(), 1);
    assert!(faults(&("{\"a\":".repeat(100) + "1" + &"}".repeat(100)))[0].contains("deeper than 64"));
}

proptest! {
    #[test]
    fn any_text_is_read_without_panic_and_places_lie_inside(text in "[\\[\\]{}:,&*!|>'\"#\n\t a-z0-9é-]{0,200}") {
        let lines = text.split('\n').count() as u32;
        for fault in parse(&text).faults {
            prop_assert!(fault.line <= lines + 1);
        }
    }
}
