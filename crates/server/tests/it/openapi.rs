//! What generated clients are made from.

use crate::house::House;
use everloop_server::{describe, route_list};

#[tokio::test]
async fn the_description_is_as_it_was() {
    let house = House::local().await;
    let mut description = describe(&route_list(&house.app));
    description["info"]["version"] = "0.0.0".into();
    insta::assert_json_snapshot!(description);
}

#[tokio::test]
async fn the_server_serves_it() {
    let house = House::local().await;
    let served = house.get("/api/v1/openapi.json").await.good();
    assert_eq!(served, describe(&route_list(&house.app)));
}
