//! Reports are kept once, with their ledger row.

use everloop_checks::{MIGRATIONS, Reports, run_suite};
use everloop_core::{Actor, ProjectName, Timestamp};
use everloop_project::{Scope, Suite};
use everloop_tables::{Source, Tables, TablesOptions, from_frame};

#[tokio::test]
async fn a_report_is_kept_once_and_read_back() {
    let suite = Suite::parse(
        "s.yaml",
        b"name: basics\nchecks:\n  - row_count: { min: 9 }\n",
        Scope::Data,
    )
    .unwrap();
    let tables = Tables::new(TablesOptions::default()).unwrap();
    let source = Source::batches(vec![from_frame(&super::data::frame()).unwrap()]);
    let report = run_suite(&tables, &suite, source, Timestamp(0)).await.unwrap();
    assert!(!report.passed);
    for test in everloop_db::testing::databases(&[everloop_ledger::MIGRATIONS, MIGRATIONS].concat()).await {
        let project = ProjectName::new("demo").unwrap();
        for _ in 0..2 {
            let (project, report) = (project.clone(), report.clone());
            test.db
                .write(move |tx| {
                    let actor = Actor::system("controller");
                    Reports::keep(
                        tx,
                        Timestamp(5),
                        &project,
                        &actor,
                        "r1",
                        "dataset:flights@3",
                        &report,
                    )
                })
                .await
                .unwrap();
        }
        let kept = Reports::new(test.db.clone())
            .list(&project, Some("dataset:flights@3"), 10)
            .await
            .unwrap();
        assert_eq!(kept.len(), 1);
        assert_eq!(kept[0].report, report);
        let head = test.db.read(everloop_ledger::head).await.unwrap();
        assert_eq!(head.0, 1, "one row for one report");
    }
}
