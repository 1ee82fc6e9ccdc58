use super::*;
use proptest::prelude::*;

/// Pieces as the engine has them: stream, milliseconds, bytes.
type Pieces = Vec<(usize, i64, Vec<u8>)>;

fn piece(ms: i64, bytes: &[u8]) -> Vec<u8> {
    let at = jiff::Timestamp::from_millisecond(ms).unwrap();
    [at.strftime("%Y-%m-%dT%H:%M:%S.%9fZ ").to_string().as_bytes(), bytes].concat()
}

fn told(pieces: &Pieces, keeper: &mut Keeper, until: usize) {
    keeper.again();
    let since = i64::from(keeper.since()) * 1000;
    for (number, ms, bytes) in pieces.iter().take(until).filter(|(_, ms, _)| *ms >= since) {
        keeper.take(*number, &piece(*ms, bytes)).unwrap();
    }
}

proptest! {
    #[test]
    fn nothing_is_lost_or_kept_twice_wherever_it_is_interrupted(
        steps in prop::collection::vec((0usize..2, 0i64..120, prop::collection::vec(any::<u8>(), 0..40)), 0..60),
        stops in prop::collection::vec((0usize..60, any::<bool>()), 0..6),
        back in prop::option::of(0usize..60),
    ) {
        let mut at = 1_700_000_000_000;
        let pieces: Pieces = steps.into_iter().enumerate().map(|(number, (stream, step, bytes))| {
            // Many fall into the same millisecond; once the clock may go back.
            at += if step < 60 { 0 } else { step };
            if back == Some(number) { at -= 5_000; }
            (stream, at, bytes)
        }).collect();
        let dir = tempfile::tempdir().unwrap();
        let mut keeper = Keeper::open(dir.path(), 1 << 30, Origin::Engine).unwrap();
        for (until, flushes) in stops {
            told(&pieces, &mut keeper, until);
            if flushes { keeper.flush().unwrap(); }
            // What was gathered and not written is gone with the process.
            keeper = Keeper::open(dir.path(), 1 << 30, Origin::Engine).unwrap();
        }
        told(&pieces, &mut keeper, pieces.len());
        keeper.flush().unwrap();
        for (number, name) in NAMES.iter().enumerate() {
            let all: Vec<u8> = pieces.iter().filter(|p| p.0 == number).flat_map(|p| p.2.clone()).collect();
            prop_assert_eq!(std::fs::read(dir.path().join(name)).unwrap(), all);
        }
    }
}

#[test]
fn the_end_of_a_line_that_fills_its_pieces_is_not_lost() {
    let dir = tempfile::tempdir().unwrap();
    let mut keeper = Keeper::open(dir.path(), 1 << 20, Origin::Engine).unwrap();
    let full = vec![b'x'; ENGINE_PIECE];
    let told = |keeper: &mut Keeper, until: usize| {
        keeper.again();
        for (ms, bytes) in
            [(1_000, &full[..]), (1_000, &full), (1_001, b"next\n"), (1_002, &full), (1_002, b"y\n")].iter().take(until)
        {
            keeper.take(0, &piece(*ms, bytes)).unwrap();
        }
        keeper.flush().unwrap();
    };
    for until in [1, 2, 3, 4, 5] {
        told(&mut keeper, until);
        keeper = Keeper::open(dir.path(), 1 << 20, Origin::Engine).unwrap();
    }
    let expected = [&full[..], &full, b"\nnext\n", &full, b"y\n"].concat();
    assert!(std::fs::read(dir.path().join("out")).unwrap() == expected);
}

#[test]
fn more_than_the_limit_is_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut keeper = Keeper::open(dir.path(), 5, Origin::Engine).unwrap();
    keeper.take(0, &piece(1_000, b"abc")).unwrap();
    keeper.take(1, &piece(1_001, b"defg")).unwrap();
    keeper.flush().unwrap();
    assert_eq!((keeper.kept(), keeper.is_cut()), ((3, 2), true));
}

#[test]
fn exactly_the_limit_is_all_there_is() {
    let dir = tempfile::tempdir().unwrap();
    let mut keeper = Keeper::open(dir.path(), 5, Origin::Engine).unwrap();
    keeper.take(0, &piece(1_000, b"abcde")).unwrap();
    keeper.flush().unwrap();
    assert!(!keeper.is_cut());
    keeper = Keeper::open(dir.path(), 5, Origin::Engine).unwrap();
    keeper.take(0, &piece(1_000, b"abcde")).unwrap();
    assert!(!keeper.is_cut(), "what comes again is no more");
    keeper.take(0, &piece(1_000, b"f")).unwrap();
    assert_eq!((keeper.kept(), keeper.is_cut()), ((5, 0), true));
}

#[test]
fn a_torn_index_is_mended() {
    let dir = tempfile::tempdir().unwrap();
    let mut keeper = Keeper::open(dir.path(), 100, Origin::Engine).unwrap();
    keeper.take(0, &piece(1_000, b"abc")).unwrap();
    keeper.flush().unwrap();
    OpenOptions::new().append(true).open(dir.path().join("index")).unwrap().write_all(&[0; 7]).unwrap();
    OpenOptions::new().append(true).open(dir.path().join("out")).unwrap().write_all(b"de").unwrap();
    let mut keeper = Keeper::open(dir.path(), 100, Origin::Engine).unwrap();
    keeper.take(0, &piece(1_000, b"abc")).unwrap();
    keeper.take(0, &piece(1_000, b"defg")).unwrap();
    keeper.flush().unwrap();
    assert_eq!(std::fs::read(dir.path().join("out")).unwrap(), b"abcdefg");
    assert_eq!(std::fs::metadata(dir.path().join("index")).unwrap().len() % 16, 0);
}
