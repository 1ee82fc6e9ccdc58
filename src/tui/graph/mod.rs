//! A directed graph drawn in cells: layers from left to right, lines routed between them.
//!
//! The layers are those of the longest path, their order comes from barycentres (Sugiyama, Tagawa and Toda 1981), the rows
//! from isotonic regression, so that lines are as straight as the order allows.

mod layers;
mod place;
mod route;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::tui::text::cut;

/// More edges than this are not drawn.
pub const MOST_EDGES: usize = 5_000;

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Harmless text.
    pub label: String,
    /// Whether it comes after everything: lines that lead to it are broken, unless they come from another such node.
    pub is_last: bool,
}

/// How to lay out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Longest label, in cells.
    pub max_label: u16,
    /// Lines of ASCII.
    pub ascii: bool,
    /// Columns and rows that it should fit into, when it can.
    pub room: (u16, u16),
}

/// Where a node stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// Column.
    pub x: u32,
    /// Row.
    pub y: u32,
    /// Cells of its label.
    pub width: u16,
    /// Its layer.
    pub layer: u32,
}

/// A cell of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EdgeCell {
    /// Column.
    pub x: u32,
    /// Row.
    pub y: u32,
    /// What is drawn.
    pub symbol: char,
}

/// Where to go from a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To what it needs.
    Left,
    /// To what needs it.
    Right,
    /// Up in its layer.
    Up,
    /// Down in its layer.
    Down,
}

/// Directions in which a cell's line leaves it, as bits.
pub(super) const NORTH: u8 = 1;
pub(super) const EAST: u8 = 2;
pub(super) const SOUTH: u8 = 4;
pub(super) const WEST: u8 = 8;

#[derive(Debug, Clone, Default)]
pub(super) struct Cell {
    bits: u8,
    arrow: bool,
    /// Ends of the edges that pass, at most [`MOST_OWNERS`].
    owners: Vec<(u32, u32)>,
}

/// Edges remembered for a cell.
const MOST_OWNERS: usize = 12;

/// Where everything stands.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Nodes, in the order in which they were given.
    pub nodes: Vec<Place>,
    labels: Vec<String>,
    edges: Vec<(usize, usize)>,
    rows: BTreeMap<u32, BTreeMap<u32, Cell>>,
    /// Nodes that come after everything.
    last: Vec<bool>,
    ascii: bool,
}

/// Lays a graph out. Edges to what does not exist, to itself, and those that close a cycle are left out.
pub fn layout(nodes: &[Node], edges: &[(usize, usize)], options: &Options) -> Layout {
    let mut edges: Vec<(usize, usize)> =
        edges.iter().copied().filter(|(from, to)| from != to && *from < nodes.len() && *to < nodes.len()).collect();
    edges.sort_unstable();
    edges.dedup();
    edges.truncate(MOST_EDGES);
    let layered = layers::layered(nodes.len(), &edges);
    let dots = if options.ascii { ".." } else { "…" };
    // Columns for lines between two layers, when it has to fit.
    let count = layered.layers.len().max(1);
    let fair = usize::from(options.room.0).saturating_sub(6 * (count - 1)) / count;
    let most = usize::from(options.max_label).min(fair.max(10)).max(4);
    let labels: Vec<String> = nodes.iter().map(|node| cut::middle(&node.label, most, dots).into_owned()).collect();
    let widths: Vec<u16> = labels.iter().map(|label| u16::try_from(cut::width(label)).unwrap_or(u16::MAX)).collect();
    let rows = place::rows(&layered, options.room.1);
    let last = nodes.iter().map(|node| node.is_last).collect();
    Layout { last, ..route::route(&layered, &rows, widths, labels, options.ascii) }
}

impl Layout {
    /// The node to go to; by lines first, else the nearest.
    pub fn neighbour(&self, node: usize, direction: Direction) -> Option<usize> {
        let here = *self.nodes.get(node)?;
        let nearest = |candidates: &mut dyn Iterator<Item = usize>| {
            candidates.min_by_key(|other| {
                let place = self.nodes[*other];
                (place.y.abs_diff(here.y), place.layer.abs_diff(here.layer), *other)
            })
        };
        match direction {
            Direction::Left => nearest(&mut self.edges.iter().filter(|(_, to)| *to == node).map(|(from, _)| *from)),
            Direction::Right => nearest(&mut self.edges.iter().filter(|(from, _)| *from == node).map(|(_, to)| *to)),
            Direction::Up | Direction::Down => {
                let down = direction == Direction::Down;
                let beyond = |place: &Place| if down { place.y > here.y } else { place.y < here.y };
                let places = self.nodes.iter().enumerate();
                let in_layer = places.clone().filter(|(_, place)| place.layer == here.layer && beyond(place));
                nearest(&mut in_layer.map(|(other, _)| other))
            }
        }
    }

    /// The lines' cells within a view.
    pub fn visible(&self, x: u32, y: u32, width: u16, height: u16) -> impl Iterator<Item = EdgeCell> + '_ {
        let columns = x..x.saturating_add(width.into());
        self.rows.range(y..y.saturating_add(height.into())).flat_map(move |(row, cells)| {
            let row = *row;
            cells.range(columns.clone()).map(move |(column, cell)| EdgeCell { x: *column, y: row, symbol: self.symbol(cell) })
        })
    }

    /// Whether a line of this node passes the cell.
    pub fn touches(&self, edge: &EdgeCell, node: usize) -> bool {
        let node = u32::try_from(node).unwrap_or(u32::MAX);
        let cell = self.rows.get(&edge.y).and_then(|cells| cells.get(&edge.x));
        cell.is_some_and(|cell| cell.owners.iter().any(|(from, to)| *from == node || *to == node))
    }

    /// Nodes within a view.
    pub fn nodes_in(&self, x: u32, y: u32, width: u16, height: u16) -> Vec<usize> {
        let (right, bottom) = (x.saturating_add(width.into()), y.saturating_add(height.into()));
        let is_in = |place: &Place| place.y >= y && place.y < bottom && place.x < right && place.x + u32::from(place.width) > x;
        self.nodes.iter().enumerate().filter(|(_, place)| is_in(place)).map(|(node, _)| node).collect()
    }

    /// The label as it was cut.
    pub fn shown_label(&self, node: usize) -> &str {
        self.labels.get(node).map_or("", String::as_str)
    }

    fn is_broken(&self, (from, to): (u32, u32)) -> bool {
        let is_last = |node: u32| self.last.get(node as usize).copied().unwrap_or(false);
        is_last(to) && !is_last(from)
    }

    fn symbol(&self, cell: &Cell) -> char {
        if cell.arrow {
            return if self.ascii { '>' } else { '▸' };
        }
        let place = usize::from(cell.bits & 15);
        if cell.owners.iter().all(|owner| self.is_broken(*owner)) {
            match (cell.bits & 15, self.ascii) {
                (5, false) => return '┆',
                (10, false) => return '┄',
                (5, true) => return ':',
                (10, true) => return '.',
                _ => {}
            }
        }
        if self.ascii {
            return [' ', '|', '-', '+', '|', '|', '+', '+', '-', '+', '-', '+', '+', '+', '+', '+'][place];
        }
        // North 1, east 2, south 4, west 8.
        [' ', '╵', '╶', '╰', '╷', '│', '╭', '├', '╴', '╯', '─', '┴', '╮', '┤', '┬', '┼'][place]
    }
}

impl Cell {
    pub(super) fn pass(&mut self, bits: u8, owner: (u32, u32)) {
        self.bits |= bits;
        if self.owners.len() < MOST_OWNERS && !self.owners.contains(&owner) {
            self.owners.push(owner);
        }
    }

    pub(super) fn point(&mut self) {
        self.arrow = true;
    }
}
