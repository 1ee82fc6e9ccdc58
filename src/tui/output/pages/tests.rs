use std::collections::VecDeque;
use std::sync::Arc;

use super::*;
use crate::model::conversation::TodoState;

/// A transcript of which each line is a block; "call X" and "result X" are a call and its answer.
#[derive(Default)]
struct Plain {
    partial: Vec<u8>,
    blocks: VecDeque<Block>,
    changed: Option<usize>,
}

impl Transcript for Plain {
    fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if *byte == b'\n' {
                self.line();
            } else {
                self.partial.push(*byte);
            }
        }
    }

    fn finish(&mut self) {
        if !self.partial.is_empty() {
            self.line();
        }
    }

    fn blocks(&self) -> &VecDeque<Block> {
        &self.blocks
    }

    fn dropped(&self) -> usize {
        0
    }

    fn take_changed(&mut self) -> Option<usize> {
        self.changed.take()
    }

    fn writing(&self) -> Option<&Block> {
        None
    }

    fn todo(&self) -> &[(TodoState, String)] {
        &[]
    }

    fn turns(&self) -> u32 {
        0
    }

    fn messages(&self) -> (&str, &str) {
        ("", "")
    }

    fn cost_usd(&self) -> Option<f64> {
        None
    }
}

impl Plain {
    fn line(&mut self) {
        let text = String::from_utf8(std::mem::take(&mut self.partial)).expect("UTF-8");
        self.changed.get_or_insert(self.blocks.len());
        self.blocks.push_back(match text.split_once(' ') {
            Some(("call", id)) => Block::Call(crate::model::conversation::Call { id: id.to_owned(), ..Default::default() }),
            Some(("result", id)) => {
                let result = CallResult { text: id.to_owned(), ..CallResult::default() };
                Block::Result { call: id.to_owned(), result }
            }
            _ => Block::Raw { text: text.chars().take(20).collect() },
        });
    }
}

fn pages() -> Pages {
    Pages::new(Arc::new(|| Box::new(Plain::default())))
}

/// Answers requests from `file` until nothing is needed any more; how many there were.
fn serve(pages: &mut Pages, file: &[u8], over: bool) -> usize {
    let mut requests = 0;
    while let Some((offset, limit)) = pages.request(false) {
        requests += 1;
        assert!(requests < 10_000, "endless requests");
        answer(pages, file, over, offset, limit);
    }
    requests
}

fn answer(pages: &mut Pages, file: &[u8], over: bool, offset: u64, limit: u32) {
    let begin = usize::try_from(offset).expect("small").min(file.len());
    let end = (begin + limit as usize).min(file.len());
    let piece = OutputPiece { attempt: 1, offset, data: file[begin..end].to_vec(), size: file.len() as u64, over };
    pages.take(offset, &piece);
}

fn number(pages: &Pages, place: Place) -> usize {
    match pages.block(place) {
        Some(Block::Raw { text }) => text.trim_end_matches('.').parse().expect("a number"),
        other => panic!("{other:?}"),
    }
}

/// Lines that begin with their number; every so often one that spans pages, and one that ends where a page does.
fn file(size: usize) -> (Vec<u8>, usize) {
    let (mut file, mut count) = (Vec::new(), 0);
    let page = usize::try_from(PAGE).expect("small");
    while file.len() < size {
        let to_page_end = page - file.len() % page;
        let length = match count % 301 {
            300 => 3 * page + 17,
            150 if to_page_end > 8 => to_page_end - 8,
            _ => 1000 + count % 777,
        };
        file.extend_from_slice(format!("{count:07}{}\n", ".".repeat(length)).as_bytes());
        count += 1;
    }
    (file, count)
}

/// Goes from one end to the other and returns the numbers of the lines met.
fn walk(pages: &mut Pages, file: &[u8], backward: bool) -> Vec<usize> {
    let mut met = Vec::new();
    let mut place: Option<Place> = None;
    loop {
        pages.begin_needs();
        let near = match (place, backward) {
            (None, true) => pages.last(),
            (None, false) => pages.first(),
            (Some(place), true) => pages.before(place),
            (Some(place), false) => pages.after(place),
        };
        match near {
            Near::At(next) => {
                met.push(number(pages, next));
                place = Some(next);
            }
            Near::Edge => return met,
            Near::Missing => {
                assert!(serve(pages, file, true) > 0, "something is missing and nothing is asked for");
                pages.drop_beyond(place.unwrap_or((pages.last_page(), 0)));
            }
        }
    }
}

#[test]
fn every_line_is_met_once_in_order_whichever_way_one_goes_and_memory_stays_bounded() {
    let (file, count) = file(24 << 20);
    let mut pages = pages();
    serve(&mut pages, &file, true);
    let backward = walk(&mut pages, &file, true);
    assert_eq!(backward, (0..count).rev().collect::<Vec<_>>());
    assert!(pages.pages.values().filter(|page| !page.is_empty()).count() <= KEPT);
    let forward = walk(&mut pages, &file, false);
    assert_eq!(forward, (0..count).collect::<Vec<_>>());
    assert!(pages.pages.values().filter(|page| !page.is_empty()).count() <= KEPT);
}

#[test]
fn a_large_transcript_shows_its_end_after_a_few_requests() {
    let (file, count) = file(24 << 20);
    let mut pages = pages();
    let mut requests = 0;
    let last = loop {
        pages.begin_needs();
        if pages.known
            && let Near::At(last) = pages.last()
        {
            break last;
        }
        requests += 1;
        let (offset, limit) = pages.request(false).expect("a request");
        answer(&mut pages, &file, true, offset, limit);
    };
    assert_eq!(number(&pages, last), count - 1);
    // The last line spans pages in no more than a few.
    assert!(requests <= 8, "{requests} requests");
}

#[test]
fn a_usual_transcript_is_one_page_and_shown_as_it_comes() {
    let (file, _) = file(1 << 20);
    let mut pages = pages();
    let (offset, limit) = pages.request(false).expect("a request");
    answer(&mut pages, &file, true, offset, limit);
    assert!(matches!(pages.last(), Near::At((0, _))), "what there is so far");
    serve(&mut pages, &file, true);
    assert!(pages.is_whole());
}

#[test]
fn a_transcript_that_grows_from_page_to_page_loses_no_line() {
    let (file, count) = file(4 << 20);
    let mut pages = pages();
    let mut shown = 0;
    // As a poll finds it: each time a little more, ended anywhere in a line.
    for end in (0..=file.len()).step_by(100_003).chain([file.len()]) {
        pages.begin_needs();
        if let Some((offset, limit)) = pages.request(true) {
            answer(&mut pages, &file[..end], false, offset, limit);
        }
        loop {
            pages.begin_needs();
            if let Near::At(last) = pages.last() {
                assert!(number(&pages, last) >= shown, "never back");
                shown = number(&pages, last);
            }
            if serve(&mut pages, &file[..end], false) == 0 {
                break;
            }
        }
    }
    assert_eq!(shown, count - 1);
    assert_eq!(walk(&mut pages, &file, true), (0..count).rev().collect::<Vec<_>>());
}

#[test]
fn a_line_without_end_is_given_up_and_the_next_is_found() {
    let mut file = vec![b'0'; 30 << 20];
    file.extend_from_slice(b"\n1\n");
    let mut pages = pages();
    serve(&mut pages, &file, true);
    assert_eq!(walk(&mut pages, &file, true), [1, 0]);
}

#[test]
fn a_transcript_that_is_gone_is_not_asked_for_again_and_again() {
    let (file, _) = file(3 << 20);
    let mut gone = pages();
    serve(&mut gone, &file, false);
    gone.need(3);
    assert_eq!(serve(&mut gone, &[], true), 1);
    assert_eq!(gone.size, 0);
    assert!(matches!(gone.last(), Near::At((0, _))), "what was read stays");
}

#[test]
fn an_answer_in_a_later_page_is_found_once_that_is_loaded() {
    let mut file = vec![b'1'; 10];
    file.extend_from_slice(b"\ncall a\ncall b\n");
    while file.len() < (3 << 20) {
        file.extend_from_slice(format!("{}\n", "2".repeat(999)).as_bytes());
    }
    file.extend_from_slice(b"result a\n");
    let mut pages = pages();
    pages.request(false).map(|(offset, limit)| answer(&mut pages, &file, true, offset, limit)).expect("a request");
    assert_eq!(pages.later(0, "a"), Later::Unread);
    (0..=pages.last_page()).for_each(|page| pages.need(page));
    serve(&mut pages, &file, true);
    assert!(matches!(pages.later(0, "a"), Later::Result(result) if result.text == "a"));
    assert_eq!(pages.later(0, "b"), Later::Nothing);
}
