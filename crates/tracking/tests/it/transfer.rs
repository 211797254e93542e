use bytes::Bytes;
use everloop_core::{Clock, Code, Coded, Hash};
use everloop_objects::{Objects, Options, StoreUrl};
use everloop_tracking::runs::RunStatus;
use everloop_tracking::{Batch, Error, Tracking, artifacts};
use futures::{StreamExt, TryStreamExt, stream};

use crate::artifacts::path;
use crate::support::{START, World, worlds};

async fn tracking(world: &World, folder: &std::path::Path) -> Tracking {
    let objects = Objects::open(&StoreUrl::folder(folder), &Options::new(world.ids.clone()))
        .await
        .unwrap();
    Tracking {
        db: world.db.clone(),
        clock: Clock::manual(START),
        ids: world.ids.clone(),
        objects,
    }
}

#[tokio::test]
async fn a_run_from_begin_to_end() {
    for world in worlds().await {
        let folder = tempfile::tempdir().unwrap();
        let tracking = tracking(&world, folder.path()).await;
        let by = tracking.by(&world.by.project, &world.by.actor);
        assert_eq!(by, world.by);
        let experiment = tracking.ensure_experiment(&by, "delays").await.unwrap();
        let run = tracking
            .create_run(&by, tracking.new_run(experiment))
            .await
            .unwrap()
            .id;
        let mut batch = Batch::default();
        batch.param("depth", "5").unwrap();
        tracking.log_batch(&by, &run, batch).await.unwrap();

        let put = tracking
            .put_bytes(&by, &run, &path("notes.txt"), Bytes::from_static(b"good"))
            .await
            .unwrap();
        assert_eq!((put.hash, put.size_bytes), (Hash::of(b"good"), 4));
        let (file, bytes) = tracking
            .get_bytes(&by.project, &run, &path("notes.txt"))
            .await
            .unwrap();
        assert_eq!((file, &bytes[..]), (put, &b"good"[..]));
        tracking.finish_run(&by, &run, RunStatus::Finished).await.unwrap();
        let found = tracking.runs(&by.project, vec![run]).await.unwrap();
        assert_eq!(found[0].info.status, RunStatus::Finished, "{}", world.name);
    }
}

#[tokio::test]
async fn files_and_streams_come_back_as_they_went_in() {
    for world in worlds().await {
        let folder = tempfile::tempdir().unwrap();
        let tracking = tracking(&world, folder.path()).await;
        let (by, run) = (world.by.clone(), world.run().await);
        // Larger than what is stored whole, so that it is cut and joined again.
        let large: Vec<u8> = (0..3_000_000_u32)
            .flat_map(|n| (n.wrapping_mul(2_654_435_761) >> 24).to_le_bytes())
            .collect();
        let on_disk = folder.path().join("large.bin");
        std::fs::write(&on_disk, &large).unwrap();
        let put = tracking
            .put_file(&by, &run, &path("m/large.bin"), &on_disk)
            .await
            .unwrap();
        assert_eq!(put.hash, Hash::of(&large));
        let parts = large
            .chunks(65_537)
            .map(|part| Ok(Bytes::copy_from_slice(part)))
            .collect::<Vec<_>>();
        let again = tracking
            .put_stream(
                &by,
                &run,
                &path("m/again.bin"),
                stream::iter(parts),
                Some(put.hash),
            )
            .await
            .unwrap();
        assert_eq!((again.hash, again.size_bytes), (put.hash, 12_000_000));
        let (_, bytes) = tracking
            .get_stream(&by.project, &run, &path("m/again.bin"))
            .await
            .unwrap();
        let read: Vec<u8> = bytes.map_ok(|part| part.to_vec()).try_concat().await.unwrap();
        assert!(read == large, "{}", world.name);
    }
}

#[tokio::test]
async fn many_files_are_recorded_together() {
    for world in worlds().await {
        let folder = tempfile::tempdir().unwrap();
        let tracking = tracking(&world, folder.path()).await;
        let (by, run) = (world.by.clone(), world.run().await);
        let files = |names: &[&str]| {
            let named = |name: &&str| (path(name), Bytes::copy_from_slice(name.as_bytes()));
            names.iter().map(named).collect::<Vec<_>>()
        };
        let put = tracking
            .put_many(&by, &run, files(&["m/MLmodel", "m/model.onnx"]))
            .await
            .unwrap();
        assert_eq!(put[1].hash, Hash::of(b"m/model.onnx"));
        let refused = tracking.put_many(&by, &run, files(&["x", "m"])).await;
        assert!(matches!(refused, Err(Error::ArtifactIsFolder { .. })));
        let (project, of) = (by.project.clone(), run.clone());
        let found = world
            .read(move |tx| artifacts::walk(tx, &project, &of, None, None, 10))
            .await
            .unwrap();
        assert_eq!(found.items, put, "{}", world.name);
    }
}

#[tokio::test]
async fn what_is_refused_is_not_recorded() {
    for world in worlds().await {
        let folder = tempfile::tempdir().unwrap();
        let tracking = tracking(&world, folder.path()).await;
        let (by, run) = (world.by.clone(), world.run().await);
        let bytes = || stream::iter([Ok(Bytes::from_static(b"sent"))]);
        let wrong = tracking
            .put_stream(&by, &run, &path("a"), bytes(), Some(Hash::of(b"declared")))
            .await
            .unwrap_err();
        assert!(
            matches!(
                wrong,
                Error::Objects(everloop_objects::Error::HashMismatch { .. })
            ),
            "{wrong}"
        );
        let cut = stream::iter([Ok(Bytes::from_static(b"half"))])
            .chain(stream::iter([Err(std::io::Error::other("connection cut"))]));
        assert!(
            tracking
                .put_stream(&by, &run, &path("a"), cut, None)
                .await
                .is_err()
        );
        let absent = tracking
            .get_bytes(&by.project, &run, &path("a"))
            .await
            .unwrap_err();
        assert_eq!(absent.code(), Code::NotFound);

        world.delete_run(&run).await;
        // Refused before a single part was asked for.
        let untouched = stream::poll_fn(|_| -> std::task::Poll<Option<std::io::Result<Bytes>>> {
            panic!("bytes were taken for a deleted run")
        });
        let refused = tracking.put_stream(&by, &run, &path("a"), untouched, None).await;
        assert!(matches!(refused, Err(Error::RunDeleted(_))));
    }
}
