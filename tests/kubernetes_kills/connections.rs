//! The connection breaks at each request, before and after the server has done it; the manager lives on.

use super::bench::Mode;
use super::kubernetes::Kind;
use super::kubernetes::faults::{Fault, When, Which};
use super::{in_both_modes, job, see_out, site};

in_both_modes! {
    a_connection_that_breaks_is_made_again, a_connection_that_breaks_is_made_again_without_runner: breaks;
    many_connections_that_break_are_made_again, many_connections_that_break_are_made_again_without_runner: all_break;
}

const POINTS: &[(Kind, When)] = &[
    (Kind::Create, When::Before),
    (Kind::Create, When::After),
    (Kind::Delete, When::Before),
    (Kind::Delete, When::After),
    (Kind::Log, When::Before),
    (Kind::Watch, When::Before),
    (Kind::List, When::Before),
    (Kind::List, When::After),
];

fn breaks(mode: Mode) {
    for (kind, when) in POINTS {
        println!("{kind:?} {when:?}");
        let Some(mut bench) = site(mode, 1) else { return };
        bench.server.faults().on(*kind, Which::Next(1), Fault::Cut(*when));
        bench.home.start();
        let job = bench.home.submit(&job());
        see_out(&bench, &job);
        assert_eq!(bench.server.faults().fired(), 1);
    }
}

/// The first of each kind breaks before it is done, the second when it is done.
fn all_break(mode: Mode) {
    let Some(mut bench) = site(mode, 1) else { return };
    for kind in [Kind::Create, Kind::Delete, Kind::Log, Kind::Watch, Kind::List, Kind::Get] {
        bench.server.faults().on(kind, Which::Next(1), Fault::Cut(When::Before));
        bench.server.faults().on(kind, Which::Every(2), Fault::Cut(When::After));
    }
    bench.home.start();
    let job = bench.home.submit(&job());
    see_out(&bench, &job);
    assert!(bench.server.faults().fired() >= 5, "{}", bench.server.faults().fired());
}
