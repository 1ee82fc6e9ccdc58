use serde_json::json;

use super::super::lines::MAX_LINE;
use super::*;
use crate::model::report::{ClaudeLimit, LimitKind};

fn read_bytes(bytes: &[u8]) -> ClaudeReport {
    super::read_bytes(bytes, Utc(0), &TimeZone::UTC)
}

const GOOD: &str = r#"{"type":"result","subtype":"success","is_error":false,"num_turns":2,"result":"fine","session_id":"s1","total_cost_usd":0.25,"modelUsage":{"a":{"inputTokens":1,"cacheReadInputTokens":2,"cacheCreationInputTokens":4,"outputTokens":8},"b":{"inputTokens":16,"outputTokens":32}},"permission_denials":[{"tool_name":"Bash","tool_use_id":"t1","tool_input":{"command":"x"}}]}"#;
const INIT: &str = r#"{"type":"system","subtype":"init","session_id":"s1","model":"opus"}"#;

#[test]
fn the_result_gives_cost_tokens_turns_denials_and_text() {
    let report = read_bytes(format!("{INIT}\n{GOOD}\n").as_bytes());
    assert_eq!(report.facts.session.as_deref(), Some("s1"));
    assert_eq!(report.facts.model.as_deref(), Some("opus"));
    assert_eq!(report.facts.cost_microusd, 250_000);
    assert_eq!((report.facts.input_tokens, report.facts.output_tokens), (23, 40));
    assert_eq!(report.facts.turns, 2);
    assert_eq!(report.facts.denials, ["Bash"]);
    assert_eq!(report.facts.text.as_deref(), Some("fine"));
    assert!(report.result.is_some_and(|result| !result.is_error && result.subtype == "success"));
}

#[test]
fn a_second_turn_replaces_totals_adds_turns_and_repeats_no_denial() {
    let report = read_bytes(format!("{INIT}\n{GOOD}\n{INIT}\n{GOOD}\n").as_bytes());
    assert_eq!(report.facts.cost_microusd, 250_000);
    assert_eq!(report.facts.turns, 4);
    assert_eq!(report.facts.denials, ["Bash"]);
}

#[test]
fn a_result_is_not_final_when_another_turn_began_or_a_line_was_cut() {
    assert_eq!(read_bytes(format!("{GOOD}\n{INIT}\n").as_bytes()).result, None);
    assert_eq!(read_bytes(format!("{GOOD}\n{{\"type\":\"sys").as_bytes()).result, None);
    assert!(read_bytes(GOOD.as_bytes()).result.is_some(), "whole but for its line feed");
}

#[test]
fn garbage_blank_lines_and_invalid_utf_8_are_survived() {
    let mut bytes = b"\n\xff\xfe\n[1]\n{\"type\":\n\"x\"\nnull\n".to_vec();
    bytes.extend_from_slice(&GOOD.replace("fine", "f#ne").into_bytes());
    let place = bytes.iter().position(|byte| *byte == b'#').unwrap();
    bytes[place] = 0xff;
    bytes.extend_from_slice(b"\n\0\0\n");
    let report = read_bytes(&bytes);
    assert_eq!(report.facts.text.as_deref(), Some("f\u{fffd}ne"));
    assert_eq!(report.facts.cost_microusd, 250_000);
}

#[test]
fn another_order_of_keys_spaces_and_other_types_are_understood() {
    let line = r#" { "session_id": 7, "is_error" : false, "subtype":"success", "num_turns":"2", "total_cost_usd":"x", "permission_denials": {}, "modelUsage": [1], "errors": 3, "type" : "result" }"#;
    let report = read_bytes(line.replace("[1]", "null").as_bytes());
    assert!(report.result.is_some_and(|result| !result.is_error));
    assert_eq!(report.facts.session, None);
}

#[test]
fn a_result_that_does_not_say_is_error_false_is_an_error() {
    for line in [r#"{"type":"result","subtype":"success"}"#, r#"{"type":"result","is_error":"false"}"#] {
        assert!(read_bytes(line.as_bytes()).result.is_some_and(|result| result.is_error), "{line}");
    }
}

#[test]
fn a_rejected_limit_counts_until_the_model_answers_again() {
    let rejected = r#"{"type":"rate_limit_event","rate_limit_info":{"status":"rejected","resetsAt":1893456000}}"#;
    let answer =
        r#"{"type":"assistant","message":{"model":"opus","content":[{"type":"text","text":"hi"}]},"parent_tool_use_id":null}"#;
    let limit = ClaudeLimit { kind: LimitKind::Unknown, resets_at: Some(Utc(1_893_456_000_000)) };
    assert_eq!(read_bytes(rejected.as_bytes()).limited, Some(limit));
    let report = read_bytes(format!("{rejected}\n{answer}\n").as_bytes());
    assert_eq!(report.limited, None);
    assert_eq!(report.facts.text.as_deref(), Some("hi"), "the last words, when no result gives the text");
}

#[test]
fn a_limit_in_words_counts_in_an_error_and_not_in_an_answer() {
    let text = "You've hit your session limit · resets 3pm";
    let line = json!({"type": "result", "subtype": "success", "is_error": true, "result": text}).to_string();
    let limit = ClaudeLimit { kind: LimitKind::Session, resets_at: Some(Utc(15 * 3_600_000)) };
    assert_eq!(read_bytes(line.as_bytes()).limited, Some(limit));
    let quoted = line.replace("true", "false");
    assert_eq!(read_bytes(quoted.as_bytes()).limited, None, "an answer may quote it");
}

#[test]
fn what_the_provider_says_about_a_limit_comes_before_the_words_which_only_fill_its_gaps() {
    let event = |info: serde_json::Value| json!({"type": "rate_limit_event", "rate_limit_info": info});
    let words = json!({"type": "result", "is_error": true, "result": "You've hit your session limit · resets 3pm"});
    let read = |info| read_bytes(format!("{}\n{words}\n", event(info)).as_bytes()).limited;
    let whole = json!({"status": "rejected", "rateLimitType": "seven_day_opus", "resetsAt": 7200});
    assert_eq!(read(whole), Some(ClaudeLimit { kind: LimitKind::Model, resets_at: Some(Utc(7_200_000)) }));
    let bare = json!({"status": "rejected"});
    assert_eq!(read(bare), Some(ClaudeLimit { kind: LimitKind::Session, resets_at: Some(Utc(15 * 3_600_000)) }));
}

#[test]
fn the_newest_state_of_each_usage_window_is_kept() {
    let mut text = String::new();
    for number in 0..20 {
        let info = json!({"status": "allowed_warning", "rateLimitType": format!("w{}", number % 10), "utilization": 0.5});
        text.push_str(&format!("{}\n", json!({"type": "rate_limit_event", "rate_limit_info": info})));
    }
    let newest = json!({"status": "allowed", "rateLimitType": "w7", "utilization": 0.75});
    text.push_str(&format!("{}\n", json!({"type": "rate_limit_event", "rate_limit_info": newest})));
    let windows = read_bytes(text.as_bytes()).facts.windows;
    assert_eq!(windows.len(), 8);
    let last = windows.last().expect("one");
    assert_eq!((last.kind.as_str(), last.percent, last.is_rejected), ("w7", Some(75), false));
    assert_eq!(windows.iter().filter(|window| window.kind == "w7").count(), 1);
}

#[test]
fn who_pays_is_told_by_the_source_of_the_key() {
    let pays = |source| {
        let line = json!({"type": "system", "subtype": "init", "apiKeySource": source}).to_string();
        read_bytes(line.as_bytes()).facts.pays_by_key
    };
    assert!(pays("ANTHROPIC_API_KEY"));
    assert!(!pays("none"));
    assert!(!read_bytes(INIT.as_bytes()).facts.pays_by_key);
}

#[test]
fn a_result_line_too_long_for_memory_is_still_read() {
    let denial = format!(r#"{{"tool_name":"Write","tool_use_id":"w","tool_input":{{"content":"{}"}}}}"#, "x".repeat(1 << 20));
    let many = vec![denial; 10].join(",");
    let line = GOOD.replace(r#""permission_denials":["#, &format!(r#""permission_denials":[{many},"#));
    assert!(line.len() > MAX_LINE);
    let report = read_bytes(format!("{INIT}\n{line}\n{{\"type\":\"system\"}}\n").as_bytes());
    assert_eq!(report.facts.denials, ["Write", "Bash"]);
    assert!(report.result.is_some_and(|result| !result.is_error));
}

#[test]
fn a_result_with_an_absurd_token_is_not_believed() {
    let line = GOOD.replace("fine", &"x".repeat(MAX_LINE + 1));
    assert_eq!(read_bytes(format!("{line}\n").as_bytes()).result, None);
}

#[test]
fn a_cost_and_counts_that_no_run_has_are_not_believed() {
    for cost in ["1e300", "-5", "1000001"] {
        let line = format!(
            r#"{{"type":"result","subtype":"success","is_error":false,"num_turns":2,"total_cost_usd":{cost},"modelUsage":{{"m":{{"inputTokens":1e30,"outputTokens":7}}}}}}"#
        );
        let report = read_bytes(format!("{line}\n").as_bytes());
        let facts = &report.facts;
        assert_eq!((facts.cost_microusd, facts.input_tokens, facts.output_tokens, facts.turns), (0, 0, 7, 2), "{cost}");
        assert!(report.result.is_some_and(|result| !result.is_error), "the rest of the line holds");
    }
}

#[test]
fn a_gigabyte_with_a_200_mib_line_needs_little_memory() {
    use std::io::Write;
    let mut file = tempfile::tempfile().unwrap();
    // Holes read as zeros: the size costs no disk.
    file.write_all(b"{\"type\":\"user\",\"x\":\"").unwrap();
    file.seek(SeekFrom::Start(200 << 20)).unwrap();
    file.write_all(b"\"}\n").unwrap();
    file.seek(SeekFrom::Start(1 << 30)).unwrap();
    file.write_all(format!("\n{GOOD}\n").as_bytes()).unwrap();
    file.rewind().unwrap();
    let peak = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let before = peak();
    let report = read_from(Collector::new(Utc(0), &TimeZone::UTC), file, || None::<File>);
    assert!(report.result.is_some_and(|result| !result.is_error));
    // Other tests of this process may run beside it; holding the line would take 200 MiB at least.
    assert!(peak() - before < 160 * 1024, "KiB: {before} before, {} after", peak());
}

#[test]
fn a_transcript_cut_at_any_byte_has_a_result_only_if_its_final_result_line_is_whole() {
    /// Whether `bytes` end with whole lines of which the last result belongs to the last turn.
    fn ends_with_a_result(bytes: &[u8]) -> bool {
        let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
        let whole = |line: &&[u8]| serde_json::from_slice::<serde_json::Value>(line).ok();
        let Some(events) = lines.iter().map(whole).collect::<Option<Vec<_>>>() else { return false };
        let place = |found: &dyn Fn(&serde_json::Value) -> bool| events.iter().rposition(found);
        place(&|event| event["type"] == "result").is_some()
            && place(&|event| event["type"] == "result") > place(&|event| event["subtype"] == "init")
    }
    let fixtures: [&[u8]; 4] = [
        include_bytes!("../../../tests/fixtures/claude/tools_bash-background.ndjson"),
        include_bytes!("../../../tests/fixtures/claude/tools_default-denied.ndjson"),
        include_bytes!("../../../tests/fixtures/claude/rate-limit-event_rejected.ndjson"),
        include_bytes!("../../../tests/fixtures/claude/text_unicode.ndjson"),
    ];
    for fixture in fixtures {
        for end in 0..=fixture.len() {
            let cut = &fixture[..end];
            assert_eq!(read_bytes(cut).result.is_some(), ends_with_a_result(cut), "at {end}");
        }
    }
}

#[test]
fn a_fifo_in_place_of_a_transcript_is_an_empty_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out");
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).unwrap();
    assert_eq!(read(&path, &TimeZone::UTC), ClaudeReport::default());
}
