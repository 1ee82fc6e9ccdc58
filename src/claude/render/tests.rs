use super::*;

fn render(bytes: &[u8]) -> String {
    let mut renderer = Renderer::new();
    let mut out = String::new();
    renderer.push(bytes, &mut out);
    renderer.finish(&mut out);
    out
}

#[test]
fn a_run_reads_as_words_calls_faults_and_an_end() {
    let transcript = [
        r#"{"type":"system","subtype":"init","session_id":"s","model":"opus","permissionMode":"default"}"#,
        r#"{"type":"assistant","message":{"content":[{"type":"text","text":"First.\n\nThen."}]}}"#,
        r#"{"type":"assistant","message":{"content":[{"type":"tool_use","id":"t1","name":"Bash","input":{"description":"d","command":"cargo test\nmore"}}]}}"#,
        r#"{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"t1","is_error":true,"content":"Exit code 101\nerror: no"}]}}"#,
        r#"{"type":"assistant","parent_tool_use_id":"t0","message":{"content":[{"type":"tool_use","id":"t2","name":"Read","input":{"file_path":"src/a.rs"}}]}}"#,
        r#"{"type":"user","parent_tool_use_id":"t0","message":{"content":[{"type":"tool_result","tool_use_id":"t2","content":"fn main"}]}}"#,
        r#"{"type":"system","subtype":"api_retry","attempt":1,"max_retries":10,"retry_delay_ms":540.7,"error_status":529,"error":"overloaded"}"#,
        r#"{"type":"rate_limit_event","rate_limit_info":{"status":"rejected","resetsAt":1893456000,"rateLimitType":"five_hour"}}"#,
        r#"{"type":"new_thing","a":1}"#,
        r#"{"type":"result","subtype":"success","is_error":false,"num_turns":3,"total_cost_usd":0.0123,"duration_ms":1234,"permission_denials":[{"tool_name":"Write","tool_input":{"file_path":"x"}}]}"#,
        r#"{"type":"result","subtype":"error_max_turns","is_error":true,"num_turns":1,"errors":["Reached maximum number of turns (1)"]}"#,
        "not JSON",
    ];
    assert_eq!(
        render(transcript.join("\n").as_bytes()),
        "… session s · opus · default
● First.

  Then.
▸ Bash cargo test…
  ✘ Bash: Exit code 101: error: no
  │ ▸ Read src/a.rs
… API overloaded (529), retry 1 of 10 in 0.5 s
… usage limit five_hour rejected, resets 2030-01-01T00:00:00Z
… {\"type\":\"new_thing\",\"a\":1}
✔ done · 3 turns · $0.0123 · 1.2 s
  denied: Write x
✘ Reached maximum number of turns (1) · 1 turn
… not JSON
"
    );
}

#[test]
fn bytes_may_come_one_at_a_time() {
    let transcript = "{\"type\":\"assistant\",\"message\":{\"content\":[{\"type\":\"text\",\"text\":\"größer\"}]}}\n";
    let mut renderer = Renderer::new();
    let mut out = String::new();
    for byte in transcript.as_bytes() {
        renderer.push(&[*byte], &mut out);
    }
    assert_eq!(out, "● größer\n");
}

#[test]
fn a_terminal_obeys_nothing_of_it() {
    let out = render(
        br#"{"type":"assistant","message":{"content":[{"type":"text","text":"\u001b]0;x\u0007\r\u009b2J"},{"type":"tool_use","name":"B\u001b[m","input":{"command":"\u202ex"}}]}}"#,
    );
    assert_eq!(out, "● ^[]0;x^G^M\\u{9b}2J\n▸ B^[[m \\u{202e}x\n");
}

#[test]
fn an_endless_line_is_told_in_one_line() {
    let mut renderer = Renderer::new();
    let mut out = String::new();
    for _ in 0..160 {
        renderer.push(&[b'x'; 64 * 1024], &mut out);
    }
    renderer.push(b"\nnext\n", &mut out);
    assert_eq!(out, "… an event of 10 MiB, not shown\n… next\n");
}
