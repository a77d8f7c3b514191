//! When each step of a run was worked on, as a part of the whole time.

use crate::types::run::Step;
use artel_protocol::time::Wall;

/// The whole time in a bar's own units.
pub(super) const WIDTH: u64 = 1_000;
/// The least width of a bar, so that a short step is seen.
const WIDTH_MIN: u64 = 6;

/// A step's bar: where it begins and how wide it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bar {
    pub x: u64,
    pub width: u64,
}

/// A step's bar in a time; nothing where it has not begun.
pub(super) fn bar(step: &Step, (from, to): (Wall, Wall)) -> Option<Bar> {
    let whole = to.since_ms(from).max(1);
    let at = |moment: Wall| {
        (u128::from(moment.since_ms(from).min(whole)) * u128::from(WIDTH) / u128::from(whole)) as u64
    };
    let x = at(step.started_at?).min(WIDTH - WIDTH_MIN);
    let end = at(step.completed_at.unwrap_or(to));
    Some(Bar { x, width: end.saturating_sub(x).max(WIDTH_MIN) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::run::StepStatus;
    use artel_protocol::id::RunId;

    #[test]
    fn a_bar_stays_inside_the_time() {
        let run_id = RunId::new(Wall(1), [1; 9]);
        let step = |started: Option<u64>, completed: Option<u64>| Step {
            step_id: run_id.step(0),
            run_id,
            name: String::new(),
            status: StepStatus::Created,
            needs: Vec::new(),
            started_at: started.map(Wall),
            completed_at: completed.map(Wall),
            logs_artifact_id: None,
            inputs: None,
            outputs: None,
            error: None,
        };
        for (started, completed, expected) in [
            (Some(100), Some(200), Some((0, 500))),
            (Some(200), None, Some((500, 500))),
            (Some(300), Some(300), Some((994, 6))),
            (Some(100), Some(u64::MAX), Some((0, 1_000))),
            (None, None, None),
        ] {
            let drawn = bar(&step(started, completed), (Wall(100), Wall(300))).map(|bar| (bar.x, bar.width));
            assert_eq!(drawn, expected, "{started:?} {completed:?}");
            assert!(drawn.is_none_or(|(x, width)| x + width <= WIDTH));
        }
        assert!(bar(&step(Some(5), None), (Wall(5), Wall(5))).is_some(), "a run of no time");
    }
}
