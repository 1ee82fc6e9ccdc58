//! Transcripts that are damaged, cut, mixed, or no transcripts at all: every reader survives them, and reads the same
//! whatever the pieces are in which they come.

use std::sync::LazyLock;

use airx::claude::conversation::Conversation;
use airx::claude::live::Live;
use airx::claude::render::Renderer;
use airx::claude::{banner, transcript};
use airx::model::conversation::Transcript;
use airx::model::live::{Sign, Watch};
use airx::model::time::Utc;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use proptest::sample::Index;

/// All recorded runs.
static RECORDED: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/claude");
    let mut paths: Vec<_> = std::fs::read_dir(directory).expect("fixtures").flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "ndjson"));
    paths.sort();
    let runs: Vec<Vec<u8>> = paths.iter().map(|path| std::fs::read(path).expect("a recorded run")).collect();
    runs.into_iter().filter(|run| !run.is_empty()).collect()
});

/// Cuts `bytes` at the places that `cuts` stand for.
fn pieces<'a>(bytes: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.windows(2).map(|ends| &bytes[ends[0]..ends[1]]).collect()
}

fn signs(pieces: &[&[u8]]) -> Vec<Sign> {
    let mut live = Live::new();
    pieces.iter().flat_map(|piece| live.push(piece)).collect()
}

fn conversation(pieces: &[&[u8]]) -> Conversation {
    let mut conversation = Conversation::new();
    pieces.iter().for_each(|piece| conversation.push(piece));
    conversation.finish();
    conversation
}

fn printed(pieces: &[&[u8]]) -> String {
    let (mut renderer, mut text) = (Renderer::new(), String::new());
    pieces.iter().for_each(|piece| renderer.push(piece, &mut text));
    renderer.finish(&mut text);
    text
}

/// Reads `bytes` with all readers, at once and in pieces.
fn all_read_the_same(bytes: &[u8], cuts: &[Index]) -> Result<(), TestCaseError> {
    let pieces = pieces(bytes, cuts);
    prop_assert_eq!(signs(&[bytes]), signs(&pieces));
    let (whole, parts) = (conversation(&[bytes]), conversation(&pieces));
    prop_assert_eq!(whole.blocks(), parts.blocks());
    prop_assert_eq!((whole.todo(), whole.turns(), whole.cost_usd()), (parts.todo(), parts.turns(), parts.cost_usd()));
    let text = printed(&[bytes]);
    prop_assert!(text.chars().all(|character| character == '\n' || !character.is_control()), "{text:?}");
    prop_assert_eq!(text, printed(&pieces));
    let report = transcript::read_bytes(bytes, Utc(0), &TimeZone::UTC);
    // What a file gives is what memory gives.
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), bytes).expect("a file");
    let read = transcript::read(file.path(), &TimeZone::UTC);
    prop_assert_eq!(report.result, read.result);
    prop_assert_eq!(report.facts, read.facts);
    Ok(())
}

fn cuts() -> impl Strategy<Value = Vec<Index>> {
    proptest::collection::vec(any::<Index>(), 0..30)
}

/// Lines of recorded runs in any order and number.
fn mixed() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec((any::<Index>(), any::<Index>()), 0..40).prop_map(|chosen| {
        let mut text = Vec::new();
        for (run, line) in chosen {
            let run = run.get(RECORDED.as_slice());
            let lines: Vec<&[u8]> = run.split(|byte| *byte == b'\n').collect();
            text.extend_from_slice(lines[line.index(lines.len())]);
            text.push(b'\n');
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_are_read_the_same_in_any_pieces(
        bytes in proptest::collection::vec(any::<u8>(), 0..4000),
        cuts in cuts(),
    ) {
        all_read_the_same(&bytes, &cuts)?;
    }

    #[test]
    fn lines_of_recorded_runs_in_any_order_are_read_the_same_in_any_pieces(bytes in mixed(), cuts in cuts()) {
        all_read_the_same(&bytes, &cuts)?;
    }

    #[test]
    fn recorded_runs_with_bytes_changed_left_out_and_cut_are_read_the_same_in_any_pieces(
        run in any::<Index>(),
        changes in proptest::collection::vec((any::<Index>(), any::<u8>(), any::<bool>()), 1..50),
        end in any::<Index>(),
        cuts in cuts(),
    ) {
        let mut bytes = run.get(RECORDED.as_slice()).clone();
        for (place, byte, leave_out) in changes {
            let place = place.index(bytes.len());
            if leave_out && bytes.len() > 1 { bytes.remove(place); } else { bytes[place] = byte; }
        }
        bytes.truncate(end.index(bytes.len()) + 1);
        all_read_the_same(&bytes, &cuts)?;
    }

    #[test]
    fn no_text_about_a_limit_and_no_time_is_a_panic(text in "\\PC{0,60}", now in any::<i64>(), opening in 0..4_usize) {
        let openings = ["", "You've hit your limit · resets ", "Claude AI usage limit reached|", "Weekly limit reached ∙ resets Jan "];
        let zone = TimeZone::get("Europe/Berlin").expect("a zone");
        let _ = banner::parse(&format!("{}{text}", openings[opening]), Utc(now), &zone);
    }
}

#[test]
fn every_recorded_run_is_read_the_same_one_byte_at_a_time() {
    for run in RECORDED.iter() {
        let bytes: Vec<&[u8]> = run.chunks(1).collect();
        assert_eq!(signs(&[run]), signs(&bytes));
        assert_eq!(conversation(&[run]).blocks(), conversation(&bytes).blocks());
        assert_eq!(printed(&[run]), printed(&bytes));
    }
}
