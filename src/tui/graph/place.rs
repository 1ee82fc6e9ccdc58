//! In which row each item stands: near what it is connected to, in the order of its layer.

use super::layers::Layered;

/// Passes over the layers.
const PASSES: usize = 8;

/// A row for each item, from 0.
pub fn rows(layered: &Layered, room: u16) -> Vec<u32> {
    let tallest = layered.layers.iter().map(Vec::len).max().unwrap_or(0);
    // Room between the nodes where there is any.
    let gap: f64 = if tallest * 2 <= usize::from(room) + 1 { 2.0 } else { 1.0 };
    let mut row = vec![0.0f64; layered.items.len()];
    for layer in &layered.layers {
        #[expect(clippy::cast_precision_loss, reason = "at most some thousand items")]
        let start = (tallest - layer.len()) as f64 * gap / 2.0;
        for (at, item) in layer.iter().enumerate() {
            #[expect(clippy::cast_precision_loss, reason = "at most some thousand items")]
            let own = start + at as f64 * gap;
            row[*item] = own;
        }
    }
    let neighbours = neighbours(layered);
    for pass in 0..PASSES {
        let order: Vec<usize> =
            if pass % 2 == 0 { (0..layered.layers.len()).collect() } else { (0..layered.layers.len()).rev().collect() };
        for layer in order {
            let items = &layered.layers[layer];
            let wanted: Vec<(f64, f64)> =
                items.iter().map(|item| wanted(&neighbours[*item], &row, row[*item], pass % 2 == 0)).collect();
            for (item, place) in items.iter().zip(spread(&wanted, gap)) {
                row[*item] = place;
            }
        }
    }
    let least = row.iter().copied().fold(f64::INFINITY, f64::min);
    let mut rounded: Vec<u32> = row.iter().map(|row| round(row - least)).collect();
    // Rounding must not put two into one row.
    for layer in &layered.layers {
        for pair in 1..layer.len() {
            let (above, own) = (rounded[layer[pair - 1]], rounded[layer[pair]]);
            rounded[layer[pair]] = own.max(above + 1);
        }
    }
    rounded
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rows are small and not negative")]
fn round(row: f64) -> u32 {
    row.round().max(0.0) as u32
}

struct Neighbours {
    above: Vec<usize>,
    below: Vec<usize>,
    passes: bool,
}

fn neighbours(layered: &Layered) -> Vec<Neighbours> {
    let mut all: Vec<Neighbours> = layered
        .items
        .iter()
        .map(|item| Neighbours { above: Vec::new(), below: Vec::new(), passes: item.node.is_none() })
        .collect();
    for piece in layered.pieces.iter().flatten() {
        all[piece.from].below.push(piece.to);
        all[piece.to].above.push(piece.from);
    }
    all
}

/// Where an item would like to be, and how much that counts.
#[expect(clippy::cast_precision_loss, reason = "at most some thousand neighbours")]
fn wanted(neighbours: &Neighbours, row: &[f64], own: f64, from_above: bool) -> (f64, f64) {
    let mean = |items: &[usize]| items.iter().map(|item| row[*item]).sum::<f64>() / items.len() as f64;
    let (first, second) =
        if from_above { (&neighbours.above, &neighbours.below) } else { (&neighbours.below, &neighbours.above) };
    // A line that passes should be straight; it counts more than a node's wish to be in the middle.
    let weight = if neighbours.passes { 4.0 } else { 1.0 };
    match (first.is_empty(), second.is_empty()) {
        (false, _) => (mean(first), weight),
        (true, false) => (mean(second), weight),
        (true, true) => (own, weight),
    }
}

/// The places nearest to the wanted ones that keep the order and the gap: isotonic regression by pooling neighbours.
#[expect(clippy::cast_precision_loss, reason = "at most some thousand items")]
fn spread(wanted: &[(f64, f64)], gap: f64) -> Vec<f64> {
    let mut pools: Vec<(f64, f64, usize)> = Vec::new();
    for (at, (place, weight)) in wanted.iter().enumerate() {
        let mut pool = (place - at as f64 * gap, *weight, 1);
        while let Some(last) = pools.last().copied().filter(|last| last.0 > pool.0) {
            pools.pop();
            let weight = last.1 + pool.1;
            pool = ((last.0 * last.1 + pool.0 * pool.1) / weight, weight, last.2 + pool.2);
        }
        pools.push(pool);
    }
    let values = pools.into_iter().flat_map(|(value, _, count)| std::iter::repeat_n(value, count));
    // Whole rows keep lines straight.
    values.enumerate().map(|(at, value)| value.round() + at as f64 * gap).collect()
}
