//! False-discovery control against SciPy and online-fdr, and by simulation.

use everloop_stats::fdr::{Lord, Saffron, benjamini_hochberg, benjamini_yekutieli};

use crate::fixture::{agree, floats, hashed, load};

#[test]
fn adjusted_p_values_equal_scipy() {
    let recorded = load("fdr");
    let p = floats(&recorded["p_values"]);
    for (got, name) in [
        (benjamini_hochberg(&p).unwrap(), "bh"),
        (benjamini_yekutieli(&p).unwrap(), "by"),
    ] {
        let expected = floats(&recorded[name]);
        assert_eq!(got.len(), expected.len());
        got.iter()
            .zip(expected)
            .for_each(|(got, expected)| agree(name, *got, expected));
    }
}

/// Levels are recorded to all digits, but the peer cuts its normalising constants after ten.
#[test]
fn online_levels_equal_online_fdr() {
    let recorded = load("fdr");
    let stream: Vec<f64> = floats(&recorded["p_values"]).repeat(3);
    let (mut lord, mut saffron) = (Lord::new(0.05).unwrap(), Saffron::new(0.05).unwrap());
    for (at, p) in stream.iter().enumerate() {
        for (got, name) in [
            (lord.test(*p).unwrap(), "lord"),
            (saffron.test(*p).unwrap(), "saffron"),
        ] {
            let expected = &recorded["online"][name][at];
            agree(&format!("{name} {at}"), got.level, expected[0].as_f64().unwrap());
            assert_eq!(got.rejected, expected[1].as_bool().unwrap(), "{name} {at}");
        }
    }
    assert!(lord.discoveries() >= 10 && saffron.discoveries() >= 10);
}

#[test]
fn a_stored_stream_goes_on_where_it_stopped() {
    let mut whole = Lord::new(0.1).unwrap();
    let mut first = Lord::new(0.1).unwrap();
    let stream = hashed(200, 77).into_iter().map(|u| u.powi(4));
    let mut stored = None;
    for (at, p) in stream.enumerate() {
        if at == 100 {
            let text = serde_json::to_string(&first).unwrap();
            stored = Some(serde_json::from_str::<Lord>(&text).unwrap());
        }
        let half = stored.as_mut().unwrap_or(&mut first);
        assert_eq!(half.test(p).unwrap(), whole.test(p).unwrap());
    }
    assert!(whole.test(1.5).is_err());
}

/// 300 streams of 400 tests, one in five real: the mean share of false discoveries stays below the target.
#[test]
fn the_false_discovery_rate_holds_online() {
    let (mut lord_share, mut saffron_share, mut lord_found, mut saffron_found) = (0.0, 0.0, 0, 0);
    for run in 0..300_u64 {
        let (mut lord, mut saffron) = (Lord::new(0.1).unwrap(), Saffron::new(0.1).unwrap());
        let mut false_found = [0_usize; 2];
        for (at, u) in hashed(400, 9000 + run).into_iter().enumerate() {
            let real = at % 5 == 0;
            let p = if real { u.powi(12) } else { u };
            for (which, outcome) in [lord.test(p).unwrap(), saffron.test(p).unwrap()]
                .into_iter()
                .enumerate()
            {
                false_found[which] += usize::from(outcome.rejected && !real);
            }
        }
        lord_share += false_found[0] as f64 / lord.discoveries().max(1) as f64;
        saffron_share += false_found[1] as f64 / saffron.discoveries().max(1) as f64;
        lord_found += lord.discoveries();
        saffron_found += saffron.discoveries();
    }
    assert!(
        lord_share / 300.0 < 0.1 && saffron_share / 300.0 < 0.1,
        "{lord_share} {saffron_share}"
    );
    assert!(
        lord_found > 300 * 20 && saffron_found > lord_found,
        "{lord_found} {saffron_found}"
    );
}
