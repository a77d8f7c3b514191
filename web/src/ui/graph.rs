//! Where a run's steps stand in its picture: columns by how many steps must come before, edges between them. A column with many
//! steps becomes a block of small ones, and edges that all its steps have become one.

use std::collections::BTreeMap;

/// The most steps of a column before it becomes a block.
const COLUMN_MAX: usize = 8;
/// A step's box, and a small one's in a block.
const BOX: (u32, u32) = (164, 46);
const SMALL: (u32, u32) = (116, 28);
/// Space between boxes in a column, between boxes of a block, between columns, and around all.
const GAP: u32 = 14;
const SMALL_GAP: u32 = 6;
const COLUMN_GAP: u32 = 60;
const EDGE: u32 = 14;
/// Space in a block around its boxes.
const PAD: u32 = 10;
/// The widest picture that shrinks where there is less room, to three quarters at most; a wider one scrolls, for its text could not
/// be read.
const SHRINKS_MAX: u32 = 1_024;

/// A rectangle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub x: u32,
    pub y: u32,
    pub width: u32,
    pub height: u32,
}

impl Place {
    fn right(&self) -> (u32, u32) {
        (self.x + self.width, self.y + self.height / 2)
    }

    fn left(&self) -> (u32, u32) {
        (self.x, self.y + self.height / 2)
    }
}

/// A run's picture.
#[derive(Debug, Default)]
pub(super) struct Graph {
    pub width: u32,
    pub height: u32,
    /// Each step's place, in the steps' order, and whether it is a small one.
    pub places: Vec<(Place, bool)>,
    /// Blocks around small steps, and how many each has.
    pub blocks: Vec<(Place, usize)>,
    /// Edges as SVG paths, and how many steps each stands for.
    pub edges: Vec<(String, usize)>,
}

impl Graph {
    /// Whether it keeps its width.
    pub fn is_wide(&self) -> bool {
        self.width > SHRINKS_MAX
    }
}

/// Lays out steps, each by the steps that it needs, as positions. Needs that are not there are left out; steps in a circle,
/// which no posted run has, are put into the first column.
pub(super) fn layout(needs: &[Vec<usize>]) -> Graph {
    let depth = depths(needs);
    let mut columns: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (step, depth) in depth.iter().enumerate() {
        columns.entry(*depth).or_default().push(step);
    }
    let mut graph = Graph {
        places: vec![(Place { x: 0, y: 0, width: 0, height: 0 }, false); needs.len()],
        ..Graph::default()
    };
    let mut block_of: Vec<Option<usize>> = vec![None; needs.len()];
    let mut x = EDGE;
    let mut heights = Vec::new();
    for steps in columns.values() {
        let is_block = steps.len() > COLUMN_MAX;
        let (width, height) = if is_block {
            block(&mut graph, &mut block_of, steps, x)
        } else {
            column(&mut graph, steps, needs, x)
        };
        heights.push((steps.clone(), is_block, height));
        x += width + COLUMN_GAP;
    }
    let tallest = heights.iter().map(|(.., height)| *height).max().unwrap_or(0);
    for (steps, is_block, height) in heights {
        let down = EDGE + (tallest - height) / 2;
        steps.iter().for_each(|step| graph.places[*step].0.y += down);
        if let (true, Some(number)) = (is_block, steps.first().and_then(|step| block_of[*step])) {
            graph.blocks[number].0.y += down;
        }
    }
    (graph.width, graph.height) = ((x + EDGE).saturating_sub(COLUMN_GAP), tallest + 2 * EDGE);
    graph.edges = edges(&graph, &block_of, needs);
    graph
}

/// How many steps come before each one on its longest way.
fn depths(needs: &[Vec<usize>]) -> Vec<usize> {
    let mut depth = vec![0; needs.len()];
    // A way without a circle has at most as many edges as there are steps.
    for _ in 0..needs.len() {
        let mut moved = false;
        for (step, before) in needs.iter().enumerate() {
            let wanted = before.iter().filter_map(|need| Some(depth.get(*need)? + 1)).max().unwrap_or(0);
            if wanted > depth[step] && wanted < needs.len() {
                depth[step] = wanted;
                moved = true;
            }
        }
        if !moved {
            return depth;
        }
    }
    vec![0; needs.len()]
}

fn column(graph: &mut Graph, steps: &[usize], needs: &[Vec<usize>], x: u32) -> (u32, u32) {
    // Beside what they need, as far as that is placed: fewer edges cross.
    let mut order = steps.to_vec();
    let middle = |step: &usize| {
        let before: Vec<u32> =
            needs[*step].iter().filter_map(|need| Some(graph.places.get(*need)?.0.y)).collect();
        before.iter().sum::<u32>() / u32::try_from(before.len().max(1)).unwrap_or(1)
    };
    order.sort_by_key(|step| (middle(step), *step));
    let mut y = 0;
    for step in order {
        graph.places[step] = (Place { x, y, width: BOX.0, height: BOX.1 }, false);
        y += BOX.1 + GAP;
    }
    (BOX.0, y - GAP)
}

fn block(graph: &mut Graph, block_of: &mut [Option<usize>], steps: &[usize], x: u32) -> (u32, u32) {
    let rows = (COLUMN_MAX..).find(|rows| rows * rows / 2 >= steps.len()).unwrap_or(COLUMN_MAX);
    let columns = steps.len().div_ceil(rows);
    let at = |number: usize, size: u32| PAD + u32::try_from(number).unwrap_or(0) * (size + SMALL_GAP);
    for (number, step) in steps.iter().enumerate() {
        let (x, y) = (x + at(number / rows, SMALL.0), at(number % rows, SMALL.1));
        graph.places[*step] = (Place { x, y, width: SMALL.0, height: SMALL.1 }, true);
        block_of[*step] = Some(graph.blocks.len());
    }
    let (width, height) = (at(columns, SMALL.0) - SMALL_GAP + PAD, at(rows, SMALL.1) - SMALL_GAP + PAD);
    graph.blocks.push((Place { x, y: 0, width, height }, steps.len()));
    (width, height)
}

/// An end of an edge: a step by itself, or the block that it stands in.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Step(usize),
    Block(usize),
}

fn edges(graph: &Graph, block_of: &[Option<usize>], needs: &[Vec<usize>]) -> Vec<(String, usize)> {
    let end = |step: usize| block_of[step].map_or(End::Step(step), End::Block);
    let mut counted: BTreeMap<(End, End), usize> = BTreeMap::new();
    for (step, before) in needs.iter().enumerate() {
        for need in before.iter().filter(|need| **need < needs.len()) {
            *counted.entry((end(*need), end(step))).or_default() += 1;
        }
    }
    let place = |end: &End| match end {
        End::Step(step) => graph.places[*step].0,
        End::Block(block) => graph.blocks[*block].0,
    };
    counted.iter().map(|((from, to), count)| (curve(place(from).right(), place(to).left()), *count)).collect()
}

fn curve((x1, y1): (u32, u32), (x2, y2): (u32, u32)) -> String {
    let half = (x2.max(x1) - x1) / 2;
    format!("M{x1} {y1}C{} {y1} {} {y2} {x2} {y2}", x1 + half, x2.saturating_sub(half))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_stands_right_of_all_that_it_needs() {
        let needs = [vec![], vec![0], vec![0], vec![1, 2], vec![0, 3]];
        let graph = layout(&needs);
        for (step, before) in needs.iter().enumerate() {
            for need in before {
                assert!(graph.places[*need].0.right().0 < graph.places[step].0.x, "{need} before {step}");
            }
        }
        assert_eq!(graph.edges.len(), 6);
        assert_no_overlap(&graph);
    }

    #[test]
    fn many_steps_become_a_block_with_one_edge() {
        let mut needs = vec![vec![]; 199];
        needs.push((0..199).collect());
        let graph = layout(&needs);
        assert_eq!((graph.blocks.len(), graph.edges.len(), graph.edges[0].1), (1, 1, 199));
        assert!(graph.places[..199].iter().all(|(_, small)| *small) && !graph.places[199].1);
        assert_no_overlap(&graph);
        let block = graph.blocks[0].0;
        for (place, _) in &graph.places[..199] {
            assert!(place.x >= block.x && place.x + place.width <= block.x + block.width);
            assert!(place.y >= block.y && place.y + place.height <= block.y + block.height);
        }
    }

    #[test]
    fn what_cannot_be_posted_is_drawn_all_the_same() {
        for needs in [vec![], vec![vec![1], vec![0]], vec![vec![0]], vec![vec![7]], vec![vec![]]] {
            assert_eq!(layout(&needs).places.len(), needs.len());
        }
    }

    fn assert_no_overlap(graph: &Graph) {
        for (at, (a, _)) in graph.places.iter().enumerate() {
            assert!(a.x + a.width <= graph.width && a.y + a.height <= graph.height);
            for (b, _) in &graph.places[..at] {
                let apart = a.x + a.width <= b.x
                    || b.x + b.width <= a.x
                    || a.y + a.height <= b.y
                    || b.y + b.height <= a.y;
                assert!(apart, "{a:?} {b:?}");
            }
        }
    }
}
