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
        assert_eq!(whole.blocks, pieces.blocks, "{name}");
        let lost = whole.blocks.iter().any(|block| matches!(block, Block::Notice { text, .. } if text.contains("not known")));
        assert!(!lost, "{name}");
    }
}

#[test]
fn a_run_with_tools_reads_as_a_conversation() {
    let (_, bytes) = fixtures().into_iter().find(|(name, _)| name == "tools_bash-fails.ndjson").unwrap();
    let conversation = read(&bytes);
    let call =
        conversation.blocks.iter().find_map(|block| if let Block::Call(call) = block { Some(call) } else { None }).unwrap();
    assert_eq!(call.name, "Bash");
    let result = call.result.as_ref().unwrap();
    assert!(result.is_error && result.summary.starts_with("exit "), "{result:?}");
    assert!(matches!(conversation.blocks.back(), Some(Block::Ended(_))));
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
    let Block::Call(call) = &conversation.blocks[0] else { panic!("{:?}", conversation.blocks) };
    assert_eq!((call.argument.as_str(), call.result.as_ref().unwrap().summary.as_str()), ("x.rs", "+2 -1"));
    assert_eq!(conversation.todo(), [(TodoState::Done, "one".to_owned()), (TodoState::Active, "two".to_owned())]);
    assert_eq!(conversation.take_changed(), Some(0));
    assert_eq!(conversation.take_changed(), None);
    assert_eq!(conversation.blocks.len(), 5);
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
    assert_eq!((conversation.blocks.len(), conversation.dropped()), (MAX_BLOCKS, 10));
    conversation.push(&vec![b'x'; MAX_LINE + 5]);
    conversation.push(b"\n\xff\xfe\n{\"type\":3}\n[]\nnull\n{\"type\":\"user\",\"message\":[]}\n");
    conversation.finish();
    assert!(conversation.blocks.len() <= MAX_BLOCKS);
}
