//! Which triggers an event or a moment fires, and what holds them back: pure.

use everloop_core::Timestamp;
use everloop_ledger::Event as LedgerEvent;
use everloop_project::{Event, Start, Trigger, When};
use serde_json::Value;

/// What a trigger is called in decisions, and what its cool-down and budget are counted under: two that wait for the
/// same thing and start different ones are two.
pub(crate) fn key_of(trigger: &Trigger) -> String {
    let what = match trigger.action {
        _ if trigger.name.is_some() => return trigger.to_string(),
        Start::Retrain => return trigger.to_string(),
        Start::Run => "run",
        Start::Notify => "notify",
    };
    format!("{trigger} ({what})")
}

/// Whether `trigger` waits for `event`.
///
/// Versions that a run wrote never fire: a loop must not start itself.
pub(crate) fn matches(trigger: &Trigger, event: &LedgerEvent) -> bool {
    let When::Event(waits_for) = &trigger.when else {
        return false;
    };
    let text = |key: &str| event.payload.get(key).and_then(Value::as_str);
    match waits_for {
        Event::DatasetVersion { dataset } => {
            let by_run = event.payload.get("run").is_some_and(|run| !run.is_null());
            let is_it = dataset
                .as_ref()
                .is_none_or(|name| text("dataset") == Some(name.as_str()));
            event.kind == "dataset.version" && is_it && !by_run
        }
        Event::MonitorDrift => event.kind == "monitor.drift",
        Event::MonitorPerformance => event.kind == "monitor.performance",
        Event::MonitorQuality => event.kind == "monitor.quality",
        Event::GitPush { branch } => {
            event.kind == "git.push"
                && branch
                    .as_ref()
                    .is_none_or(|branch| text("branch") == Some(branch.as_str()))
        }
    }
}

/// Why a trigger may not fire now; none when it may. `fired` are its last firings, newest first.
pub(crate) fn held_back(trigger: &Trigger, fired: &[Timestamp], now: Timestamp) -> Option<String> {
    if let (Some(cooldown), Some(last)) = (trigger.cooldown, fired.first()) {
        let passed = now.since(*last);
        if passed < cooldown.get() {
            let ago = everloop_core::format_duration(passed);
            return Some(format!("it fired {ago} ago and cools down for {cooldown}"));
        }
    }
    let budget = trigger.budget?;
    let since = now.minus(budget.per.span().get());
    let recent = fired.iter().filter(|at| **at > since).count();
    (recent >= budget.times as usize).then(|| format!("it fired {recent} times and may fire {budget}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use everloop_core::{Actor, Hash, ProjectName};
    use everloop_ledger::Seq;
    use serde_json::json;

    fn trigger(json: Value) -> Trigger {
        serde_json::from_value(json).unwrap()
    }

    fn event(kind: &str, payload: Value) -> LedgerEvent {
        LedgerEvent {
            seq: Seq(1),
            at: Timestamp(0),
            actor: Actor::system("x"),
            project: ProjectName::new("p").unwrap(),
            kind: kind.to_owned(),
            subject: String::new(),
            payload,
            prev_hash: Hash::of(b""),
            hash: Hash::of(b""),
        }
    }

    #[test]
    fn events_fire_the_triggers_that_wait_for_them() {
        let data = trigger(json!({ "event": "dataset.version", "dataset": "flights", "do": "retrain" }));
        assert!(matches(
            &data,
            &event("dataset.version", json!({ "dataset": "flights" }))
        ));
        assert!(!matches(
            &data,
            &event("dataset.version", json!({ "dataset": "planes" }))
        ));
        assert!(!matches(&data, &event("monitor.drift", json!({}))));
        assert!(matches(
            &trigger(json!({ "event": "monitor.drift", "do": "retrain" })),
            &event("monitor.drift", json!({}))
        ));
    }

    #[test]
    fn triggers_of_one_event_are_told_apart_by_what_they_start() {
        let named = |json: Value| key_of(&trigger(json));
        assert_eq!(
            named(json!({ "event": "monitor.drift", "do": "retrain" })),
            "monitor.drift"
        );
        assert_eq!(
            named(json!({ "event": "monitor.drift", "do": "notify" })),
            "monitor.drift (notify)"
        );
        assert_eq!(
            named(json!({ "event": "monitor.drift", "do": "run", "name": "mine" })),
            "mine"
        );
    }

    #[test]
    fn a_loop_does_not_start_itself() {
        let data = trigger(json!({ "event": "dataset.version", "do": "retrain" }));
        assert!(!matches(
            &data,
            &event("dataset.version", json!({ "dataset": "flights", "run": "r1" }))
        ));
    }

    #[test]
    fn cooldown_and_budget_hold_back() {
        let day = 86_400_000;
        let cool = trigger(json!({ "event": "monitor.drift", "do": "retrain", "cooldown": "12h" }));
        assert!(held_back(&cool, &[], Timestamp(0)).is_none());
        assert!(held_back(&cool, &[Timestamp(day)], Timestamp(day + 1)).is_some());
        assert!(held_back(&cool, &[Timestamp(0)], Timestamp(day)).is_none());
        let budget = trigger(json!({ "event": "monitor.drift", "do": "retrain", "budget": "2 per day" }));
        assert!(held_back(&budget, &[Timestamp(day), Timestamp(day)], Timestamp(day + 1)).is_some());
        assert!(held_back(&budget, &[Timestamp(0), Timestamp(0)], Timestamp(day * 2)).is_none());
    }
}
