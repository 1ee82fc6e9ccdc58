use serde_json::json;

use super::super::lines::MAX_LINE;
use super::*;

fn read(bytes: &[u8]) -> Conversation {
    let mut conversation = Conversation::new();
    conversation.push(bytes);
    conversation.finish();
    conversation
}

fn fixtures() -> Vec<(String, Vec<u8>)> {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/claude");
    let files = std::fs::read_dir(directory).unwrap().flatten();
    let transcripts = files.filter(|file| file.path().extension().is_some_and(|ending| ending == "ndjson"));
    transcripts.map(|file| (file.file_name().into_string().unwrap(), std::fs::read(file.path()).unwrap())).collect()
}

#[test]
fn every_recorded_result_finds_its_call_whatever_the_pieces_are() {
    let fixtures = fixtures();
    assert!(fixtures.len() > 30);
    for (name, bytes) in fixtures {
        let whole = read(&bytes);
        let mut pieces = Conversation::new();
        bytes.chunks(7).for_each(|piece| pieces.push(piece));
        pieces.finish();
        assert_eq!(whole.kept.blocks, pieces.kept.blocks, "{name}");
        let lost = whole.kept.blocks.iter().any(|block| matches!(block, Block::Result { .. }));
        assert!(!lost, "{name}");
    }
}

#[test]
fn a_run_with_tools_reads_as_a_conversation() {
    let (_, bytes) = fixtures().into_iter().find(|(name, _)| name == "tools_bash-fails.ndjson").unwrap();
    let conversation = read(&bytes);
    let call =
        conversation.kept.blocks.iter().find_map(|block| if let Block::Call(call) = block { Some(call) } else { None }).unwrap();
    assert_eq!(call.name, "Bash");
    let result = call.result.as_ref().unwrap();
    assert!(result.is_error && result.summary.starts_with("exit "), "{result:?}");
    assert!(matches!(conversation.kept.blocks.back(), Some(Block::Ended(_))));
    assert!(conversation.turns() > 0 && conversation.cost_usd().is_some());
}

#[test]
fn edits_tell_what_they_changed_and_the_list_of_things_to_do_is_the_newest() {
    let lines = [
        r#"{"type":"assistant","message":{"id":"m1","content":[{"type":"tool_use","id":"a","name":"Edit","input":{"file_path":"x.rs"}},{"type":"tool_use","id":"t","name":"TodoWrite","input":{"todos":[{"content":"one","status":"completed"},{"content":"two","status":"in_progress"}]}}]}}"#,
        r#"{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"a","content":"ok"}]},"tool_use_result":{"structuredPatch":[{"lines":["+a","+b","-c"," d"]}]}}"#,
        r#"{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"nobody","content":"x"}]}}"#,
        "no json",
        r#"{"type":"something new"}"#,
    ];
    let mut conversation = read(lines.join("\n").as_bytes());
    let Block::Call(call) = &conversation.kept.blocks[0] else { panic!("{:?}", conversation.kept.blocks) };
    assert_eq!((call.argument.as_str(), call.result.as_ref().unwrap().summary.as_str()), ("x.rs", "+2 -1"));
    assert_eq!(conversation.todo(), [(TodoState::Done, "one".to_owned()), (TodoState::Active, "two".to_owned())]);
    assert_eq!(conversation.take_changed(), Some(0));
    assert_eq!(conversation.take_changed(), None);
    assert_eq!(conversation.kept.blocks.len(), 5);
}

#[test]
fn memory_is_bounded_and_no_rubbish_panics() {
    let mut conversation = Conversation::new();
    for number in 0..MAX_BLOCKS + 10 {
        conversation.push(
            format!("{{\"type\":\"assistant\",\"message\":{{\"content\":[{{\"type\":\"text\",\"text\":\"{number}\"}}]}}}}\n")
                .as_bytes(),
        );
    }
    assert_eq!((conversation.kept.blocks.len(), conversation.dropped()), (MAX_BLOCKS, 10));
    conversation.push(&vec![b'x'; MAX_LINE + 5]);
    conversation.push(b"\n\xff\xfe\n{\"type\":3}\n[]\nnull\n{\"type\":\"user\",\"message\":[]}\n");
    conversation.finish();
    assert!(conversation.kept.blocks.len() <= MAX_BLOCKS);
}

fn told(lines: &[serde_json::Value]) -> Vec<Block> {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    read(text.as_bytes()).kept.blocks.into()
}

#[test]
fn a_question_waits_until_its_answer_or_the_result_of_its_call_comes() {
    let asked = |key: &str, call: &str| {
        let request = json!({"subtype": "can_use_tool", "tool_name": "Bash", "input": {"command": "ls"}, "tool_use_id": call});
        json!({"type": "control_request", "request_id": key, "request": request})
    };
    let answered = |key: &str, behavior: &str| json!({"type": "control_response", "response": {"request_id": key, "response": {"behavior": behavior}}});
    let result = json!({"type": "tool_result", "tool_use_id": "t3", "is_error": true, "content": "no"});
    let blocks = told(&[
        asked("a", "t1"),
        asked("b", "t2"),
        asked("c", "t3"),
        asked("d", "t4"),
        asked("e", "t5"),
        answered("a", "allow"),
        answered("b", "deny"),
        json!({"type": "user", "message": {"content": [result]}}),
        json!({"type": "control_cancel_request", "request_id": "d"}),
        answered("nobody", "allow"),
    ]);
    let answers: Vec<Option<Permission>> = blocks
        .iter()
        .filter_map(|block| if let Block::Question(question) = block { Some(question.answer) } else { None })
        .collect();
    let expected = [Permission::Allowed, Permission::Denied, Permission::Denied, Permission::Withdrawn];
    assert_eq!(answers[..4], expected.map(Some));
    assert_eq!(answers[4], None);
}

#[test]
fn what_is_being_written_is_there_until_it_comes_as_a_whole() {
    let piece = |event: serde_json::Value| json!({"type": "stream_event", "event": event}).to_string() + "\n";
    let delta = |text: &str| json!({"type": "content_block_delta", "delta": {"type": "text_delta", "text": text}});
    let mut conversation = Conversation::new();
    conversation.push(piece(json!({"type": "message_start"})).as_bytes());
    assert_eq!(conversation.writing(), None);
    conversation.push(piece(delta("Hel")).as_bytes());
    conversation.push(piece(delta("lo")).as_bytes());
    let said = Block::Said { text: "Hello".to_owned(), depth: 0 };
    assert_eq!(conversation.writing(), Some(&said));
    assert!(conversation.take_changed().is_some());
    conversation.push(
        format!("{}\n", json!({"type": "assistant", "message": {"content": [{"type": "text", "text": "Hello"}]}})).as_bytes(),
    );
    assert_eq!((conversation.writing(), conversation.kept.blocks.back()), (None, Some(&said)));
    conversation.push(piece(delta("cut off")).as_bytes());
    conversation.finish();
    assert_eq!(conversation.writing(), None);
}

#[test]
fn a_list_of_things_to_do_follows_both_kinds_of_tools() {
    let (_, bytes) = fixtures().into_iter().find(|(name, _)| name == "tools_tasks.ndjson").unwrap();
    assert_eq!(read(&bytes).todo(), [(TodoState::Done, "Read the code".to_owned())]);
}

#[test]
fn every_known_kind_of_event_is_understood_and_others_are_shown_as_they_are() {
    let system = |subtype: &str, more: serde_json::Value| {
        let mut event = json!({"type": "system", "subtype": subtype});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    };
    let notices = [
        (
            system("api_retry", json!({"error": "overloaded", "error_status": 529, "attempt": 1, "max_retries": 2})),
            "API overloaded",
        ),
        (system("model_fallback", json!({"original_model": "a", "fallback_model": "b"})), "model b instead of a"),
        (system("model_refusal_no_fallback", json!({"content": "no"})), "the model refused: no"),
        (system("task_started", json!({"task_type": "local_bash", "description": "x"})), "in the background: x"),
        (system("task_updated", json!({"patch": {"status": "killed"}})), "a background task was killed"),
        (system("task_notification", json!({"status": "completed", "summary": "x"})), "task completed: x"),
        (system("hook_response", json!({"outcome": "error", "hook_name": "Stop", "stderr": "no"})), "hook Stop failed: no"),
        (system("informational", json!({"content": "told"})), "told"),
        (system("notification", json!({"text": "told"})), "told"),
        (json!({"type": "rate_limit_event", "rate_limit_info": {"status": "rejected"}}), "usage limit  rejected"),
    ];
    for (event, expected) in notices {
        let blocks = told(std::slice::from_ref(&event));
        let [Block::Notice { text, .. }] = &blocks[..] else { panic!("{event}: {blocks:?}") };
        assert!(text.starts_with(expected), "{event}: {text}");
    }
    for quiet in ["status", "thinking_tokens", "hook_started", "task_started", "task_progress", "task_updated"] {
        assert_eq!(told(&[system(quiet, json!({}))]), [], "{quiet}");
    }
    for event in [json!({"type": "new"}), system("new", json!({})), json!({"no": "type"})] {
        assert_eq!(told(std::slice::from_ref(&event)), [Block::Raw { text: event.to_string() }]);
    }
}

#[test]
fn messages_of_the_cli_itself_are_no_turns_and_its_errors_are_left_to_the_result() {
    let line = |error: serde_json::Value| {
        let message = json!({"model": "<synthetic>", "content": [{"type": "text", "text": "words"}]});
        json!({"type": "assistant", "message": message, "error": error})
    };
    assert_eq!(told(&[line(json!("rate_limit"))]), []);
    assert_eq!(told(&[line(json!(null))]), [Block::Said { text: "words".to_owned(), depth: 0 }]);
    assert_eq!(read(line(json!(null)).to_string().as_bytes()).turns(), 0);
}
