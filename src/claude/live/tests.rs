use std::path::Path;

use serde_json::json;

use super::*;
use crate::model::live::UsageWindow;
use crate::model::time::Utc;

fn recorded(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/claude").join(format!("{name}.ndjson"));
    std::fs::read(path).expect(name)
}

fn signs(name: &str) -> Vec<Sign> {
    Live::new().push(&recorded(name))
}

fn signs_of(lines: &[Value]) -> Vec<Sign> {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    Live::new().push(text.as_bytes())
}

/// A sign in a word or two.
fn short(sign: &Sign) -> String {
    match sign {
        Sign::Session { pays_by_key, .. } => format!("session{}", if *pays_by_key { " by key" } else { "" }),
        Sign::Answered => "answered".to_owned(),
        Sign::Refused => "refused".to_owned(),
        Sign::Turns(turns) => format!("turn {turns}"),
        Sign::Spent(spent) => {
            let sign = if spent.is_exact { "=" } else { "~" };
            format!("{sign}{}+{} {}", spent.input_tokens, spent.output_tokens, spent.cost_microusd)
        }
        Sign::Todo { done, total, active } => format!("{done}/{total} {active}"),
        Sign::Window(window) => format!("{} {:?} {}", window.kind, window.percent, window.is_rejected),
        Sign::Asks(question) => format!("asks {}", question.body.line()),
        Sign::Over => "over".to_owned(),
    }
}

fn story(name: &str) -> Vec<String> {
    signs(name).iter().map(short).collect()
}

#[test]
fn an_answer_tells_session_turn_cost_and_end() {
    assert_eq!(story("text_stream-json"), ["session by key", "answered", "turn 1", "~100+7 675", "=100+6 650", "over"]);
}

#[test]
fn a_refused_credential_is_told_once_however_often_it_is_retried() {
    assert_eq!(story("err_401"), ["session by key", "refused", "=0+0 0", "over"]);
    assert_eq!(story("err_403"), ["session by key", "refused", "=0+0 0", "over"]);
    assert_eq!(story("err_no-key"), ["session", "refused", "=0+0 0", "over"]);
}

#[test]
fn other_trouble_is_no_refusal_and_an_answer_after_it_is_told_anew() {
    let retried = [
        json!({"type": "assistant", "message": {"id": "a", "model": "m"}, "parent_tool_use_id": null}),
        json!({"type": "system", "subtype": "api_retry", "error": "rate_limit"}),
        json!({"type": "assistant", "message": {"id": "a", "model": "m"}, "parent_tool_use_id": null}),
        json!({"type": "system", "subtype": "api_retry", "error": "authentication_failed"}),
        json!({"type": "system", "subtype": "api_retry", "error": "server_error"}),
        json!({"type": "system", "subtype": "api_retry", "error": "authentication_failed"}),
        json!({"type": "assistant", "message": {"id": "b", "model": "m"}, "parent_tool_use_id": null}),
    ];
    let told: Vec<String> = signs_of(&retried).iter().map(short).collect();
    assert_eq!(told, ["answered", "turn 1", "answered", "refused", "answered", "turn 2"]);
    assert!(!story("err_429-retry-after-120").iter().any(|told| told == "refused" || told == "answered"));
}

#[test]
fn a_usage_window_is_told_as_the_provider_names_it() {
    let window =
        |name| signs(name).into_iter().find_map(|sign| if let Sign::Window(window) = sign { Some(window) } else { None });
    let expected = UsageWindow {
        kind: "five_hour".to_owned(),
        percent: Some(91),
        resets_at: Some(Utc(1_893_456_000_000)),
        is_rejected: false,
    };
    assert_eq!(window("rate-limit-event_warning"), Some(expected.clone()));
    assert_eq!(window("rate-limit-event_rejected"), Some(UsageWindow { percent: None, is_rejected: true, ..expected }));
}

#[test]
fn a_request_for_permission_is_a_question_with_the_rules_that_always_would_allow() {
    let asked: Vec<Question> = signs("permission_stdio-allow")
        .into_iter()
        .filter_map(|sign| if let Sign::Asks(question) = sign { Some(*question) } else { None })
        .collect();
    let expected = [
        Question {
            key: "32df72da-2c99-4993-a7be-1496597f7abc".to_owned(),
            body: QuestionBody::Permission {
                tool: "Write".to_owned(),
                input: json!({
                    "file_path": "/workspace/project/fake-output.txt",
                    "content": "written by the fake model\n"
                }),
                rules: vec!["Write".to_owned()],
            },
        },
        Question {
            key: "5bc45bc8-61d3-4a22-a417-53202359aa73".to_owned(),
            body: QuestionBody::Permission {
                tool: "Bash".to_owned(),
                input: json!({"command": "touch made-by-bash", "description": "Say hello"}),
                rules: vec!["Bash(touch made-by-bash *)".to_owned()],
            },
        },
    ];
    assert_eq!(asked, expected);
}

#[test]
fn a_request_that_could_not_name_a_file_or_asks_for_something_else_is_no_question() {
    let request = |id: &str, subtype: &str| {
        let request = json!({"subtype": subtype, "tool_name": "Bash", "input": {}});
        json!({"type": "control_request", "request_id": id, "request": request})
    };
    let bad = ["", "../../etc/passwd", "a b", "ä", &"x".repeat(101)];
    assert_eq!(signs_of(&bad.map(|id| request(id, "can_use_tool"))), []);
    assert_eq!(signs_of(&[request("a-1", "hook_callback")]), []);
    assert_eq!(signs_of(&[request(&"x".repeat(100), "can_use_tool")]).len(), 1);
}

#[test]
fn a_list_of_things_to_do_is_followed_through_both_kinds_of_tools() {
    let told: Vec<String> = story("tools_tasks").into_iter().filter(|told| told.contains('/')).collect();
    assert_eq!(told, ["0/1 ", "0/2 ", "0/2 Reading the code", "1/2 ", "1/2 Writing tests", "1/1 "]);
    let todos = json!([{"content": "a", "status": "completed"}, {"content": "b".repeat(300), "status": "in_progress"}]);
    let call = json!({"type": "tool_use", "id": "t", "name": "TodoWrite", "input": {"todos": todos}});
    let line = |parent| json!({"type": "assistant", "message": {"id": "a", "content": [call]}, "parent_tool_use_id": parent});
    let todo = |sign: &Sign| matches!(sign, Sign::Todo { done: 1, total: 2, active } if *active == "b".repeat(200));
    assert!(signs_of(&[line(json!(null))]).iter().any(todo));
    assert!(!signs_of(&[line(json!("toolu_1"))]).iter().any(|sign| matches!(sign, Sign::Todo { .. })));
}

#[test]
fn a_subagent_spends_but_its_messages_are_no_turns() {
    // Its last answer comes as the result of the call that started it, and is told by the run's result alone.
    assert_eq!(
        story("tools_agent"),
        ["session by key", "answered", "turn 1", "~100+19 975", "~200+30 1750", "turn 2", "~300+37 2425", "=400+52 3300", "over"]
    );
}

#[test]
fn each_turn_of_one_process_is_told_and_totals_never_count_twice() {
    let told = story("tools_bash-background");
    assert_eq!(told.iter().filter(|told| *told == "over").count(), 2);
    assert_eq!(told.iter().filter(|told| *told == "session by key").count(), 2);
    assert_eq!(told.iter().filter(|told| told.starts_with("turn ")).count(), 3);
    let exact: Vec<&String> = told.iter().filter(|told| told.starts_with('=')).collect();
    assert_eq!(exact, ["=200+26 1650", "=300+31 2275"]);
}

#[test]
fn estimates_of_recorded_runs_are_close_to_what_the_results_say() {
    for name in ["tools_accept-edits", "tools_parallel", "thinking", "text_unicode", "permission_stdio-deny"] {
        let spent: Vec<Spent> =
            signs(name).iter().filter_map(|sign| if let Sign::Spent(spent) = sign { Some(*spent) } else { None }).collect();
        let (estimate, exact) = (spent[spent.len() - 2], spent[spent.len() - 1]);
        assert!(exact.is_exact && !estimate.is_exact, "{name}");
        assert_eq!(estimate.input_tokens, exact.input_tokens, "{name}");
        let difference = estimate.cost_microusd.abs_diff(exact.cost_microusd);
        assert!(difference * 2 < exact.cost_microusd, "{name}: {estimate:?} {exact:?}");
    }
}

#[test]
fn the_price_list_gives_the_costs_of_all_recorded_results() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/claude");
    let mut checked = 0;
    for entry in std::fs::read_dir(directory).expect("fixtures") {
        let text = std::fs::read_to_string(entry.expect("an entry").path()).expect("UTF-8");
        let results = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        for result in results.filter(|line| line["type"] == "result") {
            for (model, usage) in result["modelUsage"].as_object().expect("an object") {
                let number = |key: &str| usage[key].as_u64().expect("a count");
                let counted = super::super::spending::Usage {
                    input: number("inputTokens"),
                    cache_read: number("cacheReadInputTokens"),
                    cache_write: number("cacheCreationInputTokens"),
                    output: number("outputTokens"),
                };
                let mut spending = Spending::default();
                spending.line("a", model, counted, 0);
                let said = usage["costUSD"].as_f64().expect("a cost") * 1e6;
                #[expect(clippy::cast_precision_loss, reason = "thousands")]
                let ours = spending.total().cost_microusd as f64;
                assert!((ours - said).abs() < 1.0, "{model}: {ours} {said}");
                checked += 1;
            }
        }
    }
    assert!(checked > 30, "{checked} results");
}

#[test]
fn any_pieces_of_a_recording_give_the_signs_of_the_whole() {
    for name in ["tools_tasks", "permission_stdio-allow", "tools_agent", "err_401", "text_partial"] {
        let (bytes, whole) = (recorded(name), signs(name));
        for piece in [1, 7, 100, 4096, 5000] {
            let mut live = Live::new();
            let told: Vec<Sign> = bytes.chunks(piece).flat_map(|bytes| live.push(bytes)).collect();
            assert_eq!(told, whole, "{name} in pieces of {piece}");
        }
    }
}

#[test]
fn a_result_of_a_tool_takes_no_memory_unless_it_tells_the_number_of_an_item() {
    let long = json!({"type": "user", "message": {"content": "x".repeat(1 << 20)}}).to_string();
    // Keys in the order in which the CLI writes them.
    assert!(long.starts_with(r#"{"type":"user""#));
    let mut live = Live::new();
    for bytes in long.as_bytes().chunks(1 << 12) {
        assert_eq!(live.push(bytes), []);
        assert!(format!("{live:?}").len() < 64 << 10);
    }
}

#[test]
fn lines_beyond_all_measure_still_say_that_the_model_answered_or_the_turn_is_over() {
    let assistant = json!({"type": "assistant", "message": {"content": "x".repeat(9 << 20)}});
    let result = json!({"type": "result", "result": "x".repeat(9 << 20)});
    assert_eq!(signs_of(&[assistant, result]), [Sign::Answered, Sign::Over]);
}
