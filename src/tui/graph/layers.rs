//! Which layer a node is in, and in which order the nodes of a layer stand.

/// A node, or the place where an edge passes a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    /// The node; none for a passing edge.
    pub node: Option<usize>,
}

/// A piece of an edge between two neighbouring layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// The item in the layer.
    pub from: usize,
    /// The item in the next layer.
    pub to: usize,
    /// The whole edge, from node to node.
    pub edge: (usize, usize),
}

/// A graph in layers.
#[derive(Debug, Clone, Default)]
pub struct Layered {
    /// All items: the nodes first, then passing edges.
    pub items: Vec<Item>,
    /// Items of each layer, in order.
    pub layers: Vec<Vec<usize>>,
    /// Pieces between each layer and the next.
    pub pieces: Vec<Vec<Piece>>,
    /// The edges that are drawn.
    pub edges: Vec<(usize, usize)>,
}

/// Sweeps over the layers that reduce crossings.
const SWEEPS: usize = 12;

/// Makes layers.
pub fn layered(count: usize, edges: &[(usize, usize)]) -> Layered {
    let (depth, edges) = depths(count, edges);
    let height = depth.iter().copied().max().map_or(0, |deepest| deepest + 1);
    let mut layered = Layered {
        items: (0..count).map(|node| Item { node: Some(node) }).collect(),
        layers: vec![Vec::new(); height],
        pieces: vec![Vec::new(); height.saturating_sub(1)],
        edges: edges.clone(),
    };
    for (node, layer) in depth.iter().enumerate() {
        layered.layers[*layer].push(node);
    }
    for edge in edges {
        let mut from = edge.0;
        for layer in depth[edge.0]..depth[edge.1] {
            let to = if layer + 1 == depth[edge.1] {
                edge.1
            } else {
                layered.items.push(Item { node: None });
                layered.layers[layer + 1].push(layered.items.len() - 1);
                layered.items.len() - 1
            };
            layered.pieces[layer].push(Piece { from, to, edge });
            from = to;
        }
    }
    order(&mut layered);
    layered
}

/// The longest path to each node, and the edges without those that close a cycle.
fn depths(count: usize, edges: &[(usize, usize)]) -> (Vec<usize>, Vec<(usize, usize)>) {
    let mut out: Vec<Vec<usize>> = vec![Vec::new(); count];
    let mut missing = vec![0usize; count];
    for (from, to) in edges {
        out[*from].push(*to);
        missing[*to] += 1;
    }
    let mut depth = vec![0usize; count];
    let mut done = vec![false; count];
    let mut ready: std::collections::VecDeque<usize> = (0..count).filter(|node| missing[*node] == 0).collect();
    let mut next = 0;
    loop {
        let Some(node) = ready.pop_front() else {
            // Only cycles are left: the first node of one begins anew.
            while next < count && done[next] {
                next += 1;
            }
            if next == count {
                break;
            }
            missing[next] = 0;
            ready.push_back(next);
            continue;
        };
        if std::mem::replace(&mut done[node], true) {
            continue;
        }
        for to in &out[node] {
            if !done[*to] {
                depth[*to] = depth[*to].max(depth[node] + 1);
                missing[*to] = missing[*to].saturating_sub(1);
                if missing[*to] == 0 {
                    ready.push_back(*to);
                }
            }
        }
    }
    let kept = edges.iter().copied().filter(|(from, to)| depth[*from] < depth[*to]).collect();
    (depth, kept)
}

/// Reduces crossings by sweeps in both directions; the best order seen stays.
fn order(layered: &mut Layered) {
    let mut best = layered.layers.clone();
    let mut fewest = crossings(layered);
    for sweep in 0..SWEEPS {
        if fewest == 0 {
            break;
        }
        if sweep % 2 == 0 {
            for layer in 1..layered.layers.len() {
                sort(layered, layer, layer - 1, true);
            }
        } else {
            for layer in (0..layered.layers.len().saturating_sub(1)).rev() {
                sort(layered, layer, layer, false);
            }
        }
        let now = crossings(layered);
        if now < fewest {
            fewest = now;
            best.clone_from(&layered.layers);
        }
    }
    layered.layers = best;
}

/// Places of all items in their layers.
fn places(layered: &Layered) -> Vec<usize> {
    let mut place = vec![0; layered.items.len()];
    for layer in &layered.layers {
        for (at, item) in layer.iter().enumerate() {
            place[*item] = at;
        }
    }
    place
}

/// Sorts a layer by the mean place of what its items are connected to over the given pieces.
#[expect(clippy::cast_precision_loss, reason = "places in a layer are far below 2^52")]
fn sort(layered: &mut Layered, layer: usize, pieces: usize, above: bool) {
    let place = places(layered);
    let mut sums: std::collections::HashMap<usize, (usize, usize)> = std::collections::HashMap::new();
    for piece in &layered.pieces[pieces] {
        let (own, other) = if above { (piece.to, piece.from) } else { (piece.from, piece.to) };
        let sum = sums.entry(own).or_default();
        *sum = (sum.0 + place[other], sum.1 + 1);
    }
    let centre = |item: &usize| sums.get(item).map_or(place[*item] as f64, |(sum, count)| *sum as f64 / *count as f64);
    layered.layers[layer].sort_by(|a, b| centre(a).total_cmp(&centre(b)).then(place[*a].cmp(&place[*b])));
}

/// Crossings between all neighbouring layers, by counting inversions.
fn crossings(layered: &Layered) -> usize {
    let place = places(layered);
    let mut sum = 0usize;
    for pieces in &layered.pieces {
        let mut ends: Vec<(usize, usize)> = pieces.iter().map(|piece| (place[piece.from], place[piece.to])).collect();
        ends.sort_unstable();
        let size = ends.iter().map(|(_, to)| *to + 1).max().unwrap_or(0);
        // A tree of sums: how many ends lie beyond one.
        let mut tree = vec![0usize; size + 1];
        for (seen, (_, to)) in ends.iter().enumerate() {
            let (mut at, mut before) = (to + 1, 0);
            while at > 0 {
                before += tree[at];
                at &= at - 1;
            }
            sum += seen - before;
            let mut at = to + 1;
            while at <= size {
                tree[at] += 1;
                at += at & at.wrapping_neg();
            }
        }
    }
    sum
}
