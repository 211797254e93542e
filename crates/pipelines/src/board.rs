//! The stages of one run in memory: which wait for which, and which may go.

use std::collections::{HashMap, VecDeque};

use everloop_core::StageName;
use everloop_project::Graph;
use tokio::time::Instant;

use crate::StageState;

/// A stage on the board, by its place in the run's order.
pub(crate) type Place = usize;

/// The stages of a run.
pub(crate) struct Board {
    pub slots: Vec<Slot>,
    /// For each stage those that wait for it.
    after: Vec<Vec<Place>>,
    /// Stages whose turn it is.
    ready: VecDeque<Place>,
    /// Stages that wait for their next attempt.
    resting: Vec<(Instant, Place)>,
    open: usize,
    has_failure: bool,
}

/// A stage of a run.
pub(crate) struct Slot {
    pub name: StageName,
    pub state: StageState,
    pub attempt: u32,
    pub failures: u32,
    /// Whether its outs are being put in place.
    pub is_busy: bool,
    /// Stages before it that are not done.
    waits: usize,
}

impl Board {
    /// The board of `stages`: name, state, attempts, failures, in the run's order.
    pub fn new(graph: &Graph, stages: Vec<(StageName, StageState, u32, u32)>) -> Self {
        let places: HashMap<StageName, Place> = stages
            .iter()
            .enumerate()
            .map(|(place, stage)| (stage.0.clone(), place))
            .collect();
        let open = stages.iter().filter(|stage| !stage.1.is_end()).count();
        let mut board = Self {
            after: Vec::with_capacity(stages.len()),
            ready: VecDeque::new(),
            resting: Vec::new(),
            open,
            has_failure: stages.iter().any(|stage| stage.1 == StageState::Failed),
            slots: Vec::with_capacity(stages.len()),
        };
        let is_done: Vec<bool> = stages.iter().map(|stage| stage.1.is_done()).collect();
        for (place, (name, state, attempt, failures)) in stages.into_iter().enumerate() {
            let waits = graph
                .before(&name)
                .filter(|before| places.get(*before).is_some_and(|&place| !is_done[place]))
                .count();
            let after = graph.after(&name).filter_map(|after| places.get(after).copied());
            board.after.push(after.collect());
            if waits == 0 && !state.is_end() {
                board.ready.push_back(place);
            }
            board.slots.push(Slot {
                name,
                state,
                attempt,
                failures,
                is_busy: false,
                waits,
            });
        }
        board
    }

    /// Places stages that can't run any more because one before them failed under another worker; they end when the
    /// run goes on.
    pub fn take_doomed(&mut self) -> Vec<Place> {
        let failed = |place: &Place| {
            let state = self.slots[*place].state;
            state.is_end() && !state.is_done()
        };
        let failed: Vec<Place> = (0..self.slots.len()).filter(failed).collect();
        let mut skipped: Vec<Place> = failed
            .into_iter()
            .flat_map(|place| self.skip_after(place))
            .collect();
        skipped.sort_unstable();
        skipped
    }

    /// Whether every stage has ended.
    pub fn is_over(&self) -> bool {
        self.open == 0
    }

    /// Takes the next stage whose turn it is.
    pub fn next_ready(&mut self) -> Option<Place> {
        self.ready.pop_front()
    }

    /// Ends a stage; answers those that now never run.
    pub fn close(&mut self, place: Place, state: StageState) -> Vec<Place> {
        self.slots[place].state = state;
        self.open -= 1;
        self.has_failure |= state == StageState::Failed;
        if state.is_done() {
            for index in 0..self.after[place].len() {
                let next = self.after[place][index];
                self.slots[next].waits -= 1;
                if self.slots[next].waits == 0 && !self.slots[next].state.is_end() {
                    self.ready.push_back(next);
                }
            }
            return Vec::new();
        }
        self.skip_after(place)
    }

    /// Ends a stage and says nothing of those after it, which end in their own right.
    pub fn close_alone(&mut self, place: Place, state: StageState) {
        self.slots[place].state = state;
        self.open -= 1;
    }

    fn skip_after(&mut self, place: Place) -> Vec<Place> {
        let mut skipped = Vec::new();
        let mut reached = self.after[place].clone();
        while let Some(next) = reached.pop() {
            if self.slots[next].state.is_end() {
                continue;
            }
            self.slots[next].state = StageState::Skipped;
            self.open -= 1;
            skipped.push(next);
            reached.extend(&self.after[next]);
        }
        skipped.sort_unstable();
        skipped
    }

    /// Lets a stage have another attempt, not before `when`.
    pub fn again(&mut self, place: Place, when: Instant) {
        self.slots[place].state = StageState::Pending;
        self.resting.push((when, place));
    }

    /// When the next resting stage may go.
    pub fn wakes_at(&self) -> Option<Instant> {
        self.resting.iter().map(|(when, _)| *when).min()
    }

    /// Lets resting stages go whose time has come.
    pub fn wake(&mut self, now: Instant) {
        let (woken, resting): (Vec<_>, Vec<_>) = self.resting.drain(..).partition(|(when, _)| *when <= now);
        self.resting = resting;
        self.ready.extend(woken.into_iter().map(|(_, place)| place));
    }

    /// The stages that wait: for others, for their turn or for their next attempt.
    pub fn pending(&self) -> Vec<Place> {
        let pending = |place: &Place| self.slots[*place].state == StageState::Pending;
        (0..self.slots.len()).filter(pending).collect()
    }

    /// Whether a stage has failed.
    pub fn has_failure(&self) -> bool {
        self.has_failure
    }

    /// Whether a stage ended so.
    pub fn any(&self, state: StageState) -> bool {
        self.slots.iter().any(|slot| slot.state == state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> StageName {
        StageName::new(text).unwrap()
    }

    fn board(stages: &[&str], edges: &[(&str, &str)]) -> Board {
        let names: Vec<StageName> = stages.iter().map(|text| name(text)).collect();
        let edges: Vec<(StageName, StageName)> =
            edges.iter().map(|(from, to)| (name(from), name(to))).collect();
        let graph = Graph::new(&names, edges.iter().map(|(from, to)| (from, to))).unwrap();
        let stages = names.into_iter().map(|name| (name, StageState::Pending, 0, 0));
        Board::new(&graph, stages.collect())
    }

    #[test]
    fn a_stage_is_ready_once_all_before_it_are_done() {
        let mut board = board(&["a", "b", "c"], &[("a", "c"), ("b", "c")]);
        assert_eq!(
            (board.next_ready(), board.next_ready(), board.next_ready()),
            (Some(0), Some(1), None)
        );
        board.close(0, StageState::Cached);
        assert_eq!(board.next_ready(), None);
        board.close(1, StageState::Succeeded);
        assert_eq!(board.next_ready(), Some(2));
        board.close(2, StageState::Succeeded);
        assert!(board.is_over());
    }

    #[test]
    fn a_failure_skips_exactly_what_waits_for_it() {
        let mut board = board(&["a", "b", "c", "d"], &[("a", "b"), ("b", "c")]);
        assert_eq!(board.close(0, StageState::Failed), [1, 2]);
        assert_eq!(board.pending(), [3]);
        assert!(!board.is_over());
        board.close(3, StageState::Succeeded);
        assert!(board.is_over() && board.any(StageState::Skipped));
    }
}
