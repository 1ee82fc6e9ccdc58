//! The lines between neighbouring layers.
//!
//! Items that lead to the same items share one vertical line. Where a line leaves an item in the row in which another
//! arrives, the first one turns further to the left, so that no two lines run in one.

use std::collections::{BTreeMap, BTreeSet};

use super::layers::{Layered, Piece};
use super::{Cell, EAST, Layout, NORTH, Place, SOUTH, WEST};

/// Columns around the vertical lines: one before, one for the line that arrives, one for its arrow.
const MARGINS: u32 = 3;

/// Items that lead to the same items.
struct Bus {
    from: BTreeSet<u32>,
    to: BTreeSet<u32>,
    pieces: Vec<Piece>,
    track: u32,
}

impl Bus {
    fn is_straight(&self) -> bool {
        self.from.len() == 1 && self.from == self.to
    }

    fn span(&self) -> (u32, u32) {
        let all = || self.from.iter().chain(&self.to).copied();
        (all().min().unwrap_or(0), all().max().unwrap_or(0))
    }
}

/// Routes all lines.
pub fn route(layered: &Layered, rows: &[u32], widths: Vec<u16>, labels: Vec<String>, ascii: bool) -> Layout {
    let mut layout = Layout { labels, edges: layered.edges.clone(), ascii, ..Layout::default() };
    layout.nodes = vec![Place::default(); widths.len()];
    let mut x = 0u32;
    for (layer, items) in layered.layers.iter().enumerate() {
        let width = items.iter().filter_map(|item| layered.items[*item].node).map(|node| widths[node]).max().unwrap_or(1);
        for item in items {
            if let Some(node) = layered.items[*item].node {
                let layer = u32::try_from(layer).unwrap_or(u32::MAX);
                layout.nodes[node] = Place { x, y: rows[*item], width: widths[node], layer };
            }
        }
        let end = x + u32::from(width);
        layout.width = layout.width.max(end);
        let mut canvas = Canvas { rows: &mut layout.rows };
        // Lines that pass the layer.
        if let Some(pieces) = layered.pieces.get(layer) {
            for piece in pieces.iter().filter(|piece| layered.items[piece.from].node.is_none()) {
                canvas.across(rows[piece.from], x, end, owner(piece));
            }
            let buses = buses(pieces, rows);
            let tracks = buses.iter().map(|bus| bus.track + 1).max().unwrap_or(0);
            let next = end + tracks + MARGINS;
            for bus in &buses {
                draw_bus(bus, layered, rows, &layout.nodes, (end, next), &mut canvas);
            }
            x = next;
        }
    }
    layout.height = rows.iter().copied().max().map_or(0, |last| last + 1);
    layout
}

fn owner(piece: &Piece) -> (u32, u32) {
    let number = |node: usize| u32::try_from(node).unwrap_or(u32::MAX);
    (number(piece.edge.0), number(piece.edge.1))
}

/// Groups pieces into buses and gives each its vertical line.
fn buses(pieces: &[Piece], rows: &[u32]) -> Vec<Bus> {
    let mut targets: BTreeMap<usize, BTreeSet<u32>> = BTreeMap::new();
    for piece in pieces {
        targets.entry(piece.from).or_default().insert(rows[piece.to]);
    }
    let mut by_targets: BTreeMap<&BTreeSet<u32>, Bus> = BTreeMap::new();
    for piece in pieces {
        let Some(to) = targets.get(&piece.from) else { continue };
        let bus =
            by_targets.entry(to).or_insert_with(|| Bus { from: BTreeSet::new(), to: to.clone(), pieces: Vec::new(), track: 0 });
        bus.from.insert(rows[piece.from]);
        bus.pieces.push(*piece);
    }
    let mut buses: Vec<Bus> = by_targets.into_values().collect();
    assign(&mut buses);
    buses
}

/// Vertical lines from left to right; those that do not meet share one.
fn assign(buses: &mut [Bus]) {
    let before: Vec<Vec<usize>> = buses
        .iter()
        .enumerate()
        .map(|(at, bus)| {
            // Whatever leaves in a row in which this one arrives turns before.
            let turns = |other: &Bus| !other.is_straight() && other.from.iter().any(|row| bus.to.contains(row));
            (0..buses.len()).filter(|other| *other != at && !bus.is_straight() && turns(&buses[*other])).collect()
        })
        .collect();
    let mut placed = vec![false; buses.len()];
    for _ in 0..buses.len() {
        let free = (0..buses.len()).filter(|at| !placed[*at]);
        // In a circle the one with the fewest before it goes first.
        let Some(at) = free.min_by_key(|at| before[*at].iter().filter(|other| !placed[**other]).count()) else { return };
        placed[at] = true;
        if buses[at].is_straight() {
            continue;
        }
        let mut track = before[at].iter().filter(|other| placed[**other]).map(|other| buses[*other].track + 1).max().unwrap_or(0);
        let (top, bottom) = buses[at].span();
        let meets = |track: u32| {
            buses.iter().enumerate().any(|(other, bus)| {
                let (from, to) = bus.span();
                other != at && placed[other] && !bus.is_straight() && bus.track == track && from <= bottom && to >= top
            })
        };
        while meets(track) {
            track += 1;
        }
        buses[at].track = track;
    }
}

fn draw_bus(bus: &Bus, layered: &Layered, rows: &[u32], places: &[Place], (end, next): (u32, u32), canvas: &mut Canvas<'_>) {
    let turn = end + 1 + bus.track;
    for piece in &bus.pieces {
        let (from, to) = (rows[piece.from], rows[piece.to]);
        let start = layered.items[piece.from].node.map_or(end, |node| places[node].x + u32::from(places[node].width));
        let owner = owner(piece);
        if bus.is_straight() {
            canvas.across(from, start, next, owner);
        } else {
            canvas.across(from, start, turn, owner);
            canvas.cell(from, turn).pass(WEST, owner);
            canvas.down(turn, from.min(to), from.max(to), owner);
            canvas.cell(to, turn).pass(EAST, owner);
            canvas.across(to, turn + 1, next, owner);
        }
        if layered.items[piece.to].node.is_some() {
            canvas.cell(to, next - 1).point();
        }
    }
}

struct Canvas<'a> {
    rows: &'a mut BTreeMap<u32, BTreeMap<u32, Cell>>,
}

impl Canvas<'_> {
    fn cell(&mut self, row: u32, column: u32) -> &mut Cell {
        self.rows.entry(row).or_default().entry(column).or_default()
    }

    fn across(&mut self, row: u32, from: u32, to: u32, owner: (u32, u32)) {
        for column in from..to {
            self.cell(row, column).pass(EAST | WEST, owner);
        }
    }

    fn down(&mut self, column: u32, from: u32, to: u32, owner: (u32, u32)) {
        for row in from..=to {
            let bits = if row > from { NORTH } else { 0 } | if row < to { SOUTH } else { 0 };
            self.cell(row, column).pass(bits, owner);
        }
    }
}
