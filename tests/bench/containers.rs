//! What airx adds to a container, beside `docker run --rm` of the same image in the same minutes.

use std::time::Instant;

use crate::engines::{BUSYBOX, Options, private};
use crate::place::Place;
use crate::report::{Report, median};
use crate::runs::timed;

/// Containers, one after the other.
const COUNT: usize = 20;
/// Rounds of as many bare ones and as many of airx, so that both meet the same machine.
const ROUNDS: usize = 5;

/// Seconds of a container, bare and by airx, and the manager's memory beside them.
pub fn all(report: &mut Report) {
    let Some(engine) = private(Options { images: &[BUSYBOX], ..Options::default() }) else {
        println!("containers: no engine can be started here (root and docker.io are needed)");
        return;
    };
    let mut place = Place::new();
    let config = format!(
        "pools:\n  box: {{ backend: docker, slots: 4, image: {BUSYBOX}, pull: never, host: \"{}\", network: none }}\n",
        engine.host()
    );
    std::fs::create_dir_all(place.home()).expect("a home");
    std::fs::write(place.home().join("config.yaml"), config).expect("a configuration");
    place.start();
    let needs = |n: usize| if n == 0 { String::new() } else { format!(", needs: [t{}]", n - 1) };
    let tasks: String = (0..COUNT).map(|n| format!("  - {{ id: t{n}, command: 'true'{} }}\n", needs(n))).collect();
    let file = place.file("boxes.yaml", &format!("name: boxes\npool: box\ntasks:\n{tasks}"));
    let bare = || {
        let start = Instant::now();
        for _ in 0..COUNT {
            engine.ok(["run", "--rm", "--network", "none", BUSYBOX, "true"]);
        }
        start.elapsed().as_secs_f64() / COUNT as f64
    };
    // The first of each fills caches.
    bare();
    timed(&place, &file);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        theirs.push(bare());
        ours.push(timed(&place, &file) / COUNT as f64);
    }
    let (ours, theirs) = (median(ours), median(theirs));
    report.figure("docker run --rm of a container that does nothing", theirs * 1_000.0, "ms");
    report.figure("the same as a task of a chain", ours * 1_000.0, "ms");
    report.at_most("a container by airx beside docker run", (ours / theirs - 1.0) * 100.0, 10.0, 0.0, "% more");
    report.at_most("manager PSS beside containers", place.manager_pss(), 20.0, 15.0, "MiB");
}
