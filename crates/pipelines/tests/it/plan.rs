//! What would run, and why.

use everloop_pipelines::{PlanRequest, Verdict};

use crate::house::{House, houses};

const PIPELINE: &str = "
params: {depth: 4}
stages:
  a: {cmd: 'cat in.txt > a.txt', deps: [in.txt], outs: [a.txt]}
  b: {cmd: 'cat a.txt > b.txt', deps: [a.txt], params: [depth], outs: [b.txt]}
";

async fn plan(house: &House, yaml: &str) -> Vec<(String, Verdict)> {
    let request = PlanRequest::new(house.parse(yaml), house.root.path());
    let plans = house.pipelines.plan(request).await.unwrap();
    plans
        .into_iter()
        .map(|plan| (plan.stage.to_string(), plan.verdict))
        .collect()
}

fn runs(why: &str) -> Verdict {
    Verdict::Run {
        why: vec![why.to_owned()],
    }
}

#[tokio::test]
async fn a_plan_says_why_and_changes_nothing() {
    for house in houses().await {
        house.write("in.txt", "1");
        let planned = plan(&house, PIPELINE).await;
        assert_eq!(planned[0].1, runs("it never ran"), "{}", house.name);
        let Verdict::Depends { on } = &planned[1].1 else {
            panic!("{planned:?}")
        };
        assert_eq!(on[0].as_str(), "a");
        assert!(!house.exists("a.txt"));
        house.run(PIPELINE).await;
        let planned = plan(&house, PIPELINE).await;
        assert!(
            planned.iter().all(|(_, verdict)| *verdict == Verdict::Cached),
            "{planned:?}"
        );
        let deeper = plan(&house, &PIPELINE.replace("depth: 4", "depth: 6")).await;
        assert_eq!(deeper[1].1, runs("param depth 4 -> 6"));
        let other = plan(&house, &PIPELINE.replace("cat a.txt >", "cp a.txt")).await;
        assert_eq!(other[1].1, runs("its command changed"));
        std::fs::remove_file(house.root.path().join("b.txt")).unwrap();
        let missing = plan(&house, PIPELINE).await;
        assert_eq!(
            missing[1].1,
            Verdict::Restored {
                outs: vec!["b.txt".to_owned()]
            }
        );
        assert!(!house.exists("b.txt"));
        house.write("in.txt", "2");
        assert_eq!(plan(&house, PIPELINE).await[0].1, runs("dep in.txt changed"));
        std::fs::remove_file(house.root.path().join("a.txt")).unwrap();
    }
}
