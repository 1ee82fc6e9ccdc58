use super::*;

fn picture(layout: &Layout) -> String {
    let mut rows = vec![vec![' '; layout.width as usize]; layout.height as usize];
    for cell in layout.visible(0, 0, u16::MAX, u16::MAX) {
        rows[cell.y as usize][cell.x as usize] = cell.symbol;
    }
    for (node, place) in layout.nodes.iter().enumerate() {
        for (at, character) in layout.shown_label(node).chars().enumerate() {
            rows[place.y as usize][place.x as usize + at] = character;
        }
    }
    rows.into_iter().map(|row| row.into_iter().collect::<String>().trim_end().to_owned() + "\n").collect()
}

fn graph(count: usize, edges: &[(usize, usize)], room: (u16, u16)) -> Layout {
    let nodes: Vec<Node> = (0..count).map(|node| Node { label: format!("  task-{node}"), is_last: false }).collect();
    layout(&nodes, edges, &Options { max_label: 24, ascii: false, room })
}

#[test]
fn a_chain_is_a_straight_line_and_a_diamond_is_a_diamond() {
    assert_eq!(picture(&graph(3, &[(0, 1), (1, 2)], (78, 18))), "  task-0───▸  task-1───▸  task-2\n");
    let diamond = graph(4, &[(0, 1), (0, 2), (1, 3), (2, 3)], (78, 18));
    let expected = "\
            ╭─▸  task-1─╮
  task-0─┤           ├─▸  task-3
            ╰─▸  task-2─╯
";
    assert_eq!(picture(&diamond).replace(' ', ""), expected.replace(' ', ""), "\n{}", picture(&diamond));
}

/// 30 nodes as a job may have them: one, eight, eight, eight, four, one.
fn thirty() -> Layout {
    let mut edges = Vec::new();
    for lane in 1..9 {
        edges.extend([(0, lane), (lane, lane + 8), (lane + 8, lane + 16)]);
        edges.push((lane + 16, 25 + (lane - 1) / 2));
    }
    (25..29).for_each(|node| edges.push((node, 29)));
    graph(30, &edges, (78, 18))
}

#[test]
fn thirty_nodes_are_legible_at_80_by_24() {
    let layout = thirty();
    let picture = picture(&layout);
    assert!(layout.width <= 78 && layout.height <= 18, "{}x{}\n{picture}", layout.width, layout.height);
    (0..30).for_each(|node| assert!(picture.contains(&format!("task-{node}")), "{picture}"));
    insta::with_settings!({snapshot_path => "../../../snapshots", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("graph_thirty", picture);
    });
}

fn random(seed: &mut u64, below: usize) -> usize {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    usize::try_from(*seed >> 33).unwrap() % below.max(1)
}

/// Whether the target can be reached from the source along cells of this edge alone.
fn is_connected(layout: &Layout, from: usize, to: usize) -> bool {
    let owner = (u32::try_from(from).unwrap(), u32::try_from(to).unwrap());
    let (start, end) = (layout.nodes[from], layout.nodes[to]);
    let own = |x: u32, y: u32| {
        layout
            .rows
            .get(&y)
            .and_then(|cells| cells.get(&x))
            .filter(|cell| cell.owners.contains(&owner) || cell.owners.len() >= MOST_OWNERS)
    };
    let mut seen = std::collections::BTreeSet::new();
    let mut stack = vec![(start.x + u32::from(start.width), start.y)];
    while let Some((x, y)) = stack.pop() {
        let Some(cell) = own(x, y).filter(|_| seen.insert((x, y))) else { continue };
        if (x + 1, y) == (end.x, end.y) {
            return true;
        }
        for (bit, dx, dy) in [(NORTH, 0, -1), (EAST, 1, 0), (SOUTH, 0, 1), (WEST, -1, 0)] {
            if cell.bits & bit != 0 || cell.arrow {
                stack.push((x.wrapping_add_signed(dx), y.wrapping_add_signed(dy)));
            }
        }
    }
    false
}

#[test]
fn every_line_leads_from_its_source_to_its_target_and_through_no_label() {
    let mut seed = 5;
    for round in 0..300 {
        let count = random(&mut seed, 40);
        let edges: Vec<(usize, usize)> =
            (0..random(&mut seed, 80)).map(|_| (random(&mut seed, count + 1), random(&mut seed, count + 2))).collect();
        let layout = graph(count, &edges, (78, 18));
        let mut taken = std::collections::BTreeSet::new();
        for place in &layout.nodes {
            for x in place.x..place.x + u32::from(place.width) {
                assert!(taken.insert((x, place.y)), "round {round}: two labels overlap");
                let line = layout.rows.get(&place.y).is_some_and(|cells| cells.contains_key(&x));
                assert!(!line, "round {round}: a line runs through a label\n{}", picture(&layout));
            }
        }
        for (from, to) in &layout.edges {
            assert!(is_connected(&layout, *from, *to), "round {round}: {from} to {to}\n{}", picture(&layout));
        }
    }
}

#[test]
fn odd_graphs_are_no_panic() {
    assert_eq!(graph(0, &[], (78, 18)).width, 0);
    let cycle = graph(3, &[(0, 1), (1, 2), (2, 0), (1, 1), (0, 9), (0, 1)], (0, 0));
    assert_eq!(cycle.nodes.len(), 3);
    let wide = layout(
        &[Node { label: "漢".repeat(100), is_last: false }, Node { label: String::new(), is_last: true }],
        &[(0, 1)],
        &Options { max_label: 5, ascii: true, room: (1, 1) },
    );
    assert!(wide.nodes[0].width <= 10);
    let edges: Vec<(usize, usize)> =
        (0..300usize).flat_map(|node| (1..6usize).map(move |step| (node, node + step * step))).collect();
    let large = graph(300, &edges, (78, 18));
    assert_eq!(large.nodes.len(), 300);
}

#[test]
fn one_walks_along_the_lines() {
    let layout = thirty();
    let right = layout.neighbour(0, Direction::Right).unwrap();
    assert!((1..9).contains(&right));
    assert_eq!(layout.neighbour(right, Direction::Left), Some(0));
    let down = layout.neighbour(right, Direction::Down).unwrap();
    assert_eq!(layout.neighbour(down, Direction::Up), Some(right));
    assert_eq!(layout.neighbour(0, Direction::Left), None);
}

#[test]
fn lines_to_what_comes_after_everything_are_broken() {
    let node = |label: &str, is_last| Node { label: label.to_owned(), is_last };
    let nodes = [node("build", false), node("test", false), node("docs", false), node("clean", true)];
    let edges = [(0, 1), (1, 3), (2, 3)];
    let drawn = |ascii| picture(&layout(&nodes, &edges, &Options { max_label: 10, ascii, room: (78, 18) }));
    let (unicode, ascii) = (drawn(false), drawn(true));
    assert!(unicode.contains('┄') && unicode.contains('─'), "{unicode}");
    assert!(ascii.contains("...") && ascii.contains("--"), "{ascii}");
}
