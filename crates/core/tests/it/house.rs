//! The house rules of `docs/architecture.md` as tests: floors, sideways arrows, owners of outside crates.
//!
//! The tables in that page are the rules; `cargo metadata` is the house. [`breaches`] compares any such pair, so that
//! the rules themselves are tested on small wrong houses further down.

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What the page allows.
#[derive(Debug, Default)]
struct Rules {
    rooms: BTreeMap<String, Room>,
    owners: BTreeMap<String, Owners>,
}

/// One row of the table of floors.
#[derive(Debug)]
struct Room {
    /// `None` is a tool: it stands beside the house and may hold any outside crate.
    floor: Option<u8>,
    below: bool,
    sideways: BTreeSet<String>,
}

/// Who may use an outside crate.
#[derive(Debug, Clone)]
enum Owners {
    Crates(BTreeSet<String>),
    Floor(u8),
    FloorAndUp(u8),
}

/// One crate as it is built: name, package, and what it imports.
#[derive(Debug)]
struct Built {
    name: String,
    package: String,
    inside: BTreeSet<String>,
    /// Outside crates of the library and the build script; tests may look behind an owner's back.
    outside: BTreeSet<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The rows of the table between `<!-- table: name -->` and `<!-- /table -->`, cells trimmed, without the header.
fn rows<'a>(page: &'a str, table: &str) -> Vec<Vec<&'a str>> {
    let open = format!("<!-- table: {table} -->");
    let (_, rest) = page
        .split_once(&open)
        .unwrap_or_else(|| panic!("no table {table:?} in the page"));
    let (body, _) = rest.split_once("<!-- /table -->").expect("a table is closed");
    let lines = body.lines().filter(|line| line.starts_with('|')).skip(2);
    lines
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}

/// The names in backquotes of one cell.
fn names(cell: &str) -> BTreeSet<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn parse_room(row: &[&str]) -> (String, Room) {
    let [floor, name, _owns, may_use] = row else {
        panic!("a row of floors has four cells: {row:?}")
    };
    let floor = match *floor {
        "tool" => None,
        number => Some(
            number
                .parse()
                .unwrap_or_else(|_| panic!("not a floor: {number:?}")),
        ),
    };
    let below = may_use.split(',').any(|word| word.trim() == "below");
    let sideways = names(may_use);
    assert!(
        below || !sideways.is_empty() || *may_use == "nothing",
        "not a rule: {may_use:?}"
    );
    (
        name.trim_matches('`').to_owned(),
        Room {
            floor,
            below,
            sideways,
        },
    )
}

fn parse_owners(cell: &str) -> Owners {
    let Some(floor) = cell.strip_prefix("floor ") else {
        return Owners::Crates(names(cell));
    };
    match floor.strip_suffix(" and up") {
        Some(floor) => Owners::FloorAndUp(floor.parse().expect("a floor is a number")),
        None => Owners::Floor(floor.parse().expect("a floor is a number")),
    }
}

fn parse_rules(page: &str) -> Rules {
    let rooms = rows(page, "floors").iter().map(|row| parse_room(row)).collect();
    let owned = |row: &Vec<&str>| {
        let owners = parse_owners(row[1]);
        names(row[0])
            .into_iter()
            .map(move |outside| (outside, owners.clone()))
            .collect::<Vec<_>>()
    };
    Rules {
        rooms,
        owners: rows(page, "owners").iter().flat_map(owned).collect(),
    }
}

fn metadata() -> Metadata {
    let mut command = MetadataCommand::new();
    command.manifest_path(root().join("Cargo.toml")).no_deps();
    command.exec().expect("cargo metadata runs")
}

/// The workspace as `cargo metadata` sees it. A crate is named by its folder.
fn built() -> Vec<Built> {
    let folder = |path: &Path| {
        path.file_name()
            .expect("a crate has a folder")
            .to_string_lossy()
            .into_owned()
    };
    let mut house = Vec::new();
    for package in metadata().workspace_packages() {
        let (inside, outside): (Vec<_>, Vec<_>) = package
            .dependencies
            .iter()
            .partition(|dependency| dependency.path.is_some());
        house.push(Built {
            name: folder(
                package
                    .manifest_path
                    .parent()
                    .expect("a manifest has a folder")
                    .as_std_path(),
            ),
            package: package.name.to_string(),
            inside: inside
                .iter()
                .map(|it| folder(it.path.as_ref().expect("partitioned").as_std_path()))
                .collect(),
            outside: outside
                .iter()
                .filter(|dependency| dependency.kind != DependencyKind::Development)
                .map(|dependency| dependency.name.clone())
                .collect(),
        });
    }
    house
}

impl Rules {
    /// Whether the page draws an arrow from `user` to the crate called `used`.
    fn drawn(&self, user: &Room, used: &str) -> bool {
        let lower = || {
            user.below
                && self
                    .rooms
                    .get(used)
                    .is_some_and(|used| used.floor.is_some() && used.floor < user.floor)
        };
        user.sideways.contains(used) || lower()
    }

    /// A sideways arrow stays on its floor: the page itself cannot allow an upward one.
    fn crooked_arrows(&self) -> Vec<String> {
        let crooked = |name: &String, room: &Room| -> Vec<String> {
            let stays = |used: &&String| self.rooms.get(*used).is_some_and(|used| used.floor == room.floor);
            let wrong = room.sideways.iter().filter(|used| !stays(used));
            wrong
                .map(|used| format!("the page draws {name} -> {used}, which is not on its floor"))
                .collect()
        };
        self.rooms
            .iter()
            .flat_map(|(name, room)| crooked(name, room))
            .collect()
    }

    fn allows_outside(&self, user: &str, room: &Room, outside: &str) -> bool {
        // A tool only names features; it calls nothing.
        let Some(floor) = room.floor else { return true };
        match self.owners.get(outside) {
            None => true,
            Some(Owners::Crates(crates)) => crates.contains(user),
            Some(Owners::Floor(only)) => floor == *only,
            Some(Owners::FloorAndUp(lowest)) => floor >= *lowest,
        }
    }
}

/// Every way in which the house breaks the rules; empty when it keeps them.
fn breaches(rules: &Rules, house: &[Built]) -> Vec<String> {
    let mut found = rules.crooked_arrows();
    let standing: BTreeSet<&str> = house.iter().map(|built| built.name.as_str()).collect();
    let ghosts = rules
        .rooms
        .keys()
        .filter(|name| !standing.contains(name.as_str()));
    found.extend(ghosts.map(|name| format!("{name} is in the page but not in the workspace")));
    for built in house {
        let name = &built.name;
        let Some(room) = rules.rooms.get(name) else {
            found.push(format!("{name} is in the workspace but not in the page"));
            continue;
        };
        if built.package != *name && built.package != format!("everloop-{name}") {
            found.push(format!("{name} holds a package called {}", built.package));
        }
        let undrawn = built.inside.iter().filter(|used| !rules.drawn(room, used));
        found.extend(undrawn.map(|used| format!("{name} -> {used} is not drawn")));
        let foreign = built
            .outside
            .iter()
            .filter(|outside| !rules.allows_outside(name, room, outside));
        found.extend(foreign.map(|outside| format!("{name} uses {outside}, which has another owner")));
    }
    found
}

fn page() -> String {
    std::fs::read_to_string(root().join("docs/architecture.md")).expect("the page is there")
}

#[test]
fn the_workspace_keeps_the_rules_of_the_page() {
    let found = breaches(&parse_rules(&page()), &built());
    assert!(
        found.is_empty(),
        "the house breaks docs/architecture.md:\n  {}\nhint: remove the import, or argue for the arrow and draw it there",
        found.join("\n  ")
    );
}

#[test]
fn the_page_is_read_whole() {
    let rules = parse_rules(&page());
    assert_eq!(rules.rooms["core"].floor, Some(0));
    assert!(!rules.rooms["core"].below, "core uses nothing");
    assert_eq!(rules.rooms["pipelines"].sideways, names("`tracking`, `datasets`"));
    assert_eq!(rules.rooms["unify"].floor, None);
    assert!(matches!(rules.owners["axum"], Owners::Floor(5)));
    assert!(matches!(rules.owners["tokio"], Owners::FloorAndUp(1)));
    assert!(matches!(&rules.owners["rusqlite"], Owners::Crates(owners) if owners.len() == 1));
}

#[test]
fn unify_names_every_outside_crate() {
    let metadata = metadata();
    let outside = |unify: bool| -> BTreeSet<String> {
        let members = metadata.workspace_packages().into_iter();
        let chosen = members.filter(|package| (package.name.as_str() == "everloop-unify") == unify);
        let used = chosen.flat_map(|package| &package.dependencies);
        // Build scripts run on the host, whose features are unified apart.
        let used =
            used.filter(|dependency| dependency.path.is_none() && dependency.kind != DependencyKind::Build);
        used.map(|dependency| dependency.name.clone()).collect()
    };
    let missing: Vec<_> = outside(false).difference(&outside(true)).cloned().collect();
    assert!(
        missing.is_empty(),
        "tools/unify/Cargo.toml lacks {missing:?}\nhint: add each with `.workspace = true`, or partial builds compile everything twice"
    );
}

#[test]
fn every_crate_keeps_the_lints_of_the_workspace() {
    for package in metadata().workspace_packages() {
        let manifest = std::fs::read_to_string(&package.manifest_path).expect("a manifest can be read");
        assert!(
            manifest.contains("[lints]\nworkspace = true"),
            "{} sets lints of its own",
            package.manifest_path
        );
    }
}

/// A small house of three floors that keeps its rules.
const SMALL: &str = "
<!-- table: floors -->
| floor | crate | owns | may use |
|---|---|---|---|
| 2 | `shop` | selling | below |
| 1 | `till` | money | below, `shelf` |
| 1 | `shelf` | goods | below |
| 0 | `words` | names | nothing |
| tool | `crane` | nothing | nothing |
<!-- /table -->
<!-- table: owners -->
| outside crate | only in |
|---|---|
| `coins` | `till` |
| `doors` | floor 2 |
| `clerks` | floor 1 and up |
<!-- /table -->
";

fn small_house() -> Vec<Built> {
    let room = |name: &str, inside: &str, outside: &str| Built {
        name: name.to_owned(),
        package: format!("everloop-{name}"),
        inside: inside.split_whitespace().map(str::to_owned).collect(),
        outside: outside.split_whitespace().map(str::to_owned).collect(),
    };
    vec![
        room("shop", "till shelf words", "doors clerks"),
        room("till", "shelf words", "coins"),
        room("shelf", "words", "wood"),
        room("words", "", ""),
        room("crane", "", "coins doors clerks"),
    ]
}

/// The breaches of the small house once `change` was made to the crate called `name`.
fn after(name: &str, change: impl FnOnce(&mut Built)) -> Vec<String> {
    let mut house = small_house();
    change(
        house
            .iter_mut()
            .find(|built| built.name == name)
            .expect("the crate is in the small house"),
    );
    breaches(&parse_rules(SMALL), &house)
}

#[track_caller]
fn check_import(user: &str, used: &str) {
    let found = after(user, |built| built.inside.extend([used.to_owned()]));
    assert_eq!(found, [format!("{user} -> {used} is not drawn")]);
}

#[track_caller]
fn check_outside(user: &str, outside: &str, expected: &[String]) {
    let found = after(user, |built| built.outside.extend([outside.to_owned()]));
    assert_eq!(found, expected);
}

#[test]
fn a_house_that_keeps_its_rules_has_no_breach() {
    assert_eq!(
        breaches(&parse_rules(SMALL), &small_house()),
        Vec::<String>::new()
    );
}

#[test]
fn upward_and_undrawn_sideways_imports_are_breaches() {
    check_import("shelf", "shop");
    check_import("words", "till");
    // Sideways is a direction: the arrow till -> shelf does not allow shelf -> till.
    check_import("shelf", "till");
    // Nothing depends on a tool, and a tool depends on nothing of the house.
    check_import("shop", "crane");
    check_import("crane", "words");
}

#[test]
fn unlisted_missing_and_misnamed_crates_are_breaches() {
    let renamed = after("words", |built| built.name = "verbs".into());
    assert_eq!(
        renamed,
        [
            "words is in the page but not in the workspace",
            "verbs is in the workspace but not in the page"
        ]
    );
    let misnamed = after("words", |built| built.package = "everloop-verbs".into());
    assert_eq!(misnamed, ["words holds a package called everloop-verbs"]);
}

#[test]
fn an_outside_crate_away_from_its_owner_is_a_breach() {
    let breach = |user, outside| [format!("{user} uses {outside}, which has another owner")];
    check_outside("shop", "coins", &breach("shop", "coins"));
    check_outside("till", "doors", &breach("till", "doors"));
    check_outside("words", "clerks", &breach("words", "clerks"));
    check_outside("till", "clerks", &[]);
}

#[test]
fn a_page_that_draws_an_arrow_off_its_floor_is_a_breach() {
    let page = SMALL.replace(
        "| `shelf` | goods | below |",
        "| `shelf` | goods | below, `shop` |",
    );
    let found = breaches(&parse_rules(&page), &small_house());
    assert_eq!(found, ["the page draws shelf -> shop, which is not on its floor"]);
}
