//! Where the nodes stand in the mesh's picture: this one in the middle, its neighbours around it.

/// The picture's size in its own units.
pub(super) const WIDTH: f64 = 720.0;
const HEIGHT_MAX: f64 = 440.0;
/// A node's box.
pub(super) const BOX: (f64, f64) = (132.0, 44.0);

/// Where a neighbour's box begins, and where its edge's ends are: at the middle's box and at its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spot {
    pub x: f64,
    pub y: f64,
    pub from: (f64, f64),
    pub to: (f64, f64),
    /// Where the round trip is written.
    pub label: (f64, f64),
}

/// How high the picture of so many neighbours is.
pub(super) fn height(count: usize) -> f64 {
    match count {
        0..=2 => BOX.1 + 48.0,
        3..=4 => 280.0,
        _ => HEIGHT_MAX,
    }
}

/// Where each of so many neighbours stands.
pub(super) fn spots(count: usize) -> Vec<Spot> {
    let (cx, cy) = (WIDTH / 2.0, height(count) / 2.0);
    let (rx, ry) = ((WIDTH - BOX.0) / 2.0 - 12.0, cy - BOX.1 / 2.0 - 12.0);
    let spot = |number: usize| {
        // From the right on, clockwise; two stand left and right of the middle.
        let angle = std::f64::consts::TAU * number as f64 / count as f64;
        // Beyond a dozen, every second one stands further in.
        let near = if count > 12 && number % 2 == 1 { 0.62 } else { 1.0 };
        let (px, py) = (cx + rx * near * angle.cos(), cy + ry * near * angle.sin());
        let (dx, dy) = (px - cx, py - cy);
        let (from, to) = (border((cx, cy), (dx, dy)), border((px, py), (-dx, -dy)));
        let label = ((from.0 + to.0) / 2.0, (from.1 + to.1) / 2.0);
        Spot { x: px - BOX.0 / 2.0, y: py - BOX.1 / 2.0, from, to, label }
    };
    (0..count).map(spot).collect()
}

/// Where a line from a box's middle in a direction leaves the box.
fn border((x, y): (f64, f64), (dx, dy): (f64, f64)) -> (f64, f64) {
    let reach = |delta: f64, half: f64| if delta == 0.0 { f64::INFINITY } else { half / delta.abs() };
    let t = reach(dx, BOX.0 / 2.0 + 4.0).min(reach(dy, BOX.1 / 2.0 + 4.0));
    (x + dx * t.min(1.0), y + dy * t.min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_neighbour_stands_inside_the_picture() {
        for count in [1, 2, 3, 8, 12, 24] {
            for spot in spots(count) {
                assert!(spot.x >= 0.0 && spot.x + BOX.0 <= WIDTH, "{count}: {spot:?}");
                assert!(spot.y >= 0.0 && spot.y + BOX.1 <= height(count), "{count}: {spot:?}");
            }
        }
        assert!(spots(0).is_empty());
    }
}
