use super::*;

/// A file system of two streams that answers whatever a document asks.
fn answer(document: &mut Document, out: &[u8], err: &[u8], index: &[u8], over: bool) {
    for _ in 0..10_000 {
        let requests = document.requests(!document.known);
        if requests.is_empty() {
            return;
        }
        for (key, limit) in requests {
            let file = match key.stream {
                OutputStream::Out => out,
                OutputStream::Err => err,
                _ => index,
            };
            let from = usize::try_from(key.offset).unwrap().min(file.len());
            let to = (from + limit as usize).min(file.len());
            let piece =
                OutputPiece { attempt: 1, offset: key.offset, data: file[from..to].to_vec(), size: file.len() as u64, over };
            document.take(&key, piece, Mono(1));
        }
    }
    panic!("asks for ever");
}

fn document() -> Document {
    Document::new("j.1/t".parse().unwrap(), 1)
}

fn step(document: &mut Document, at: u64, out: &[u8], err: &[u8], index: &[u8]) -> Option<Line> {
    loop {
        match document.line_at(at) {
            Step::Line(line) => return Some(line),
            Step::End => return None,
            Step::Missing => {
                let over = document.over;
                answer(document, out, err, index, over);
            }
        }
    }
}

fn lines(document: &mut Document, out: &[u8], err: &[u8], index: &[u8]) -> Vec<(Stream, String)> {
    let (mut at, mut found) = (0, Vec::new());
    while let Some(line) = step(document, at, out, err, index) {
        assert!(line.next > at, "it goes on");
        at = line.next;
        found.push((line.stream, String::from_utf8_lossy(&line.bytes).into_owned()));
    }
    found
}

fn record(stream: u8, len: usize, time: i64) -> Vec<u8> {
    let mut bytes = vec![stream, 0, 0, 0];
    bytes.extend(u32::try_from(len).unwrap().to_le_bytes());
    bytes.extend(time.to_le_bytes());
    bytes
}

#[test]
fn both_streams_come_in_order_and_apart() {
    let (out, err) = (b"one\ntw".as_slice(), b"oops\n".as_slice());
    let index = [record(0, 4, 0), record(1, 5, 10), record(0, 2, 20)].concat();
    let mut both = document();
    answer(&mut both, out, err, &index, true);
    let told = lines(&mut both, out, err, &index);
    assert_eq!(told, [(Stream::Out, "one".into()), (Stream::Err, "oops".into()), (Stream::Out, "tw".into())]);
    both.which = Which::Err;
    assert_eq!(lines(&mut both, out, err, &index), [(Stream::Err, "oops".into())]);
}

#[test]
fn walking_back_finds_the_lines_that_walking_on_finds() {
    let mut out = Vec::new();
    for number in 0..40_000u32 {
        out.extend(format!("line {number} {}\n", "x".repeat(number as usize % 37)).bytes());
    }
    let mut document = document();
    answer(&mut document, &out, b"", b"", true);
    let (mut at, mut starts) = (0, Vec::new());
    while let Some(line) = step(&mut document, at, &out, b"", b"") {
        starts.push(line.at);
        at = line.next;
    }
    assert_eq!(starts.len(), 40_000);
    let (mut at, mut back) = (document.len(), Vec::new());
    while at > 0 {
        match document.before(at) {
            Some(before) => {
                assert!(before < at, "it goes back from {at}");
                back.push(before);
                at = before;
            }
            None => answer(&mut document, &out, b"", b"", true),
        }
    }
    back.reverse();
    assert_eq!(starts, back);
    assert!(document.chunks.len() <= KEPT);
}

#[test]
fn walking_back_over_both_streams_stops_where_they_change() {
    let (out, err) = (b"one\ntw".as_slice(), b"oops\nno".as_slice());
    let index = [record(0, 4, 0), record(1, 7, 10), record(0, 2, 20)].concat();
    let mut both = document();
    answer(&mut both, out, err, &index, true);
    let _ = lines(&mut both, out, err, &index);
    let mut at = both.len();
    let mut back = vec![at];
    while at > 0 {
        at = both.before(at).unwrap();
        back.push(at);
    }
    assert_eq!(back, [13, 11, 9, 4, 0]);
}

#[test]
fn a_line_without_end_is_shown_in_pieces() {
    let out = vec![b'a'; 300_000];
    let mut document = document();
    answer(&mut document, &out, b"", b"", true);
    let told = lines(&mut document, &out, b"", b"");
    assert_eq!(told.iter().map(|(_, line)| line.len()).sum::<usize>(), 300_000);
    assert!(told.iter().all(|(_, line)| line.len() as u64 <= MAX_LINE));
}

#[test]
fn what_is_still_written_is_seen_as_it_comes() {
    let mut document = document();
    answer(&mut document, b"", b"", b"", false);
    assert!(document.is_empty() && !document.over);
    let mut out = Vec::new();
    for number in 0..50 {
        out.extend(format!("{number}\n").bytes());
        // Reading its lines told that it is over.
        (document.known, document.over) = (false, false);
        answer(&mut document, &out, b"", b"", number == 49);
        assert_eq!(lines(&mut document, &out, b"", b"").len(), number + 1);
    }
    assert!(document.over);
}

#[test]
fn going_back_from_the_end_of_a_long_output_stays_near_the_end() {
    let line = 64;
    let out: Vec<u8> = (0..200_000u32).flat_map(|number| format!("{number:062}x\n").into_bytes()).collect();
    let mut document = document();
    answer(&mut document, &out, b"", b"", true);
    let mut at = document.len();
    for _ in 0..5_000 {
        let before = loop {
            match document.before(at) {
                Some(before) => break before,
                None => answer(&mut document, &out, b"", b"", true),
            }
        };
        assert_eq!(before, at - line);
        at = before;
    }
}

#[test]
fn an_attempt_that_ends_between_two_looks_is_read_once_more() {
    let mut document = document();
    let piece = |data: &[u8], over| OutputPiece { attempt: 1, offset: 0, data: data.to_vec(), size: data.len() as u64, over };
    let asked = document.requests(true);
    let (index, out) = (asked[0].0.clone(), asked[1].0.clone());
    // It runs at the look at the index, and is over at the one at the output.
    document.take(&index, piece(&[], false), Mono(1));
    document.take(&out, piece(b"late\n", true), Mono(1));
    document.take(&asked[2].0, piece(b"", true), Mono(1));
    assert!(!document.over, "the index lacks what came last");
    for (key, _) in document.requests(true) {
        let data = if key.stream == OutputStream::Index { record(0, 5, 7) } else { Vec::new() };
        document.take(&key, OutputPiece { size: 5, ..piece(&data, true) }, Mono(2));
    }
    assert!(document.over);
    assert_eq!(document.last_time(), Some(7));
}
