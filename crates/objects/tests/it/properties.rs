//! Laws that hold for any sizes and cuts.

use crate::stores::{folder_store, in_ten_days, listed, random};
use bytes::Bytes;
use everloop_core::Hash;
use everloop_objects::{LARGEST_WHOLE, LiveSet};
use futures::stream;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// Sizes near what matters: nothing, the limit of whole objects, chunks, blocks.
fn size() -> impl Strategy<Value = usize> {
    prop_oneof![
        0_usize..2_000,
        LARGEST_WHOLE - 3..LARGEST_WHOLE + 4,
        LARGEST_WHOLE..4 * LARGEST_WHOLE,
        8 * LARGEST_WHOLE - 3..8 * LARGEST_WHOLE + 4,
    ]
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_object_in_any_slices_comes_back(
        size in size(), seed: u64, slice in 1_usize..3 << 20, a: prop::sample::Index, b: prop::sample::Index
    ) {
        run(async {
            let store = folder_store();
            let bytes = random(size, seed);
            let slices: Vec<_> = bytes.chunks(slice).map(|part| Ok(bytes.slice_ref(part))).collect();
            let stored = store.open().await.put_stream(stream::iter(slices), None).await.unwrap();
            let objects = store.open().await;
            assert_eq!(stored.hash, Hash::of(&bytes));
            assert_eq!(objects.get_bytes(&stored.hash).await.unwrap(), bytes);
            let (a, b) = (a.index(size + 1), b.index(size + 1));
            let (start, end) = (a.min(b), a.max(b));
            let part = store.open().await.get_range(&stored.hash, start as u64..end as u64).await.unwrap();
            assert_eq!(part, bytes.slice(start..end));
        });
    }

    #[test]
    fn a_collection_keeps_exactly_the_live(
        objects in prop::collection::vec((size(), 0_u64..12, any::<bool>(), any::<bool>()), 1..12)
    ) {
        run(async {
            let store = folder_store();
            let handle = store.open().await;
            let mut live = BTreeSet::new();
            let mut together = Vec::new();
            for (size, seed, is_live, alone) in objects {
                // Few seeds, so that objects share beginnings and thereby chunks.
                let bytes: Bytes = random(size, seed);
                if is_live {
                    live.insert(Hash::of(&bytes));
                }
                if alone {
                    handle.put_bytes(bytes).await.unwrap();
                } else {
                    together.push(bytes);
                }
            }
            handle.put_many(together).await.unwrap();
            let set: LiveSet = live.iter().copied().collect();
            handle.collect(set.clone(), &in_ten_days()).await.unwrap();
            let cold = store.open().await;
            let left = listed(&cold).await;
            // What shares a mostly live pack may stay a while.
            assert!(left.is_superset(&live), "{live:?} {left:?}");
            for hash in &left {
                cold.get_bytes(hash).await.unwrap();
            }
            let again = cold.collect(set, &in_ten_days()).await.unwrap();
            assert_eq!((again.freed_objects, again.freed_bytes), (0, 0), "one collection is enough");
            if live.is_empty() {
                assert_eq!(left, BTreeSet::new());
            }
        });
    }
}
