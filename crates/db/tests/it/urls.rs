//! What names a database, and that its password is never shown.

use everloop_core::Coded;
use everloop_db::DbUrl;

#[track_caller]
fn shows(url: &str, expected: &str) {
    let parsed: DbUrl = url.parse().unwrap();
    assert_eq!(parsed.to_string(), expected);
    assert_eq!(format!("{parsed:?}"), format!("DbUrl({expected})"));
}

#[test]
fn urls_show_where_but_not_how_to_get_in() {
    shows("sqlite:/var/lib/everloop/db", "sqlite:/var/lib/everloop/db");
    shows("sqlite://relative/db", "sqlite:relative/db");
    shows(
        "postgres://ada:s3cret@db.example:6543/loop",
        "postgres://ada@db.example:6543/loop?schema=everloop",
    );
    shows(
        "postgresql://ada@a,b/loop?password=s3cret&schema=team_x&pool=4&sslmode=require",
        "postgres://ada@a:5432,b:5432/loop?schema=team_x",
    );
    shows(
        "postgres://ada:s3cret@/loop?host=/run/postgresql&snapshot=off&statement_timeout=5m",
        "postgres://ada@/run/postgresql/loop?schema=everloop",
    );
}

#[test]
fn wrong_urls_are_explained_without_their_secrets() {
    let cases = [
        ("", "it starts neither with sqlite: nor with postgres://"),
        (
            "mysql://ada:s3cret@h/d",
            "it starts neither with sqlite: nor with postgres://",
        ),
        ("sqlite:", "the path is missing after sqlite:"),
        (
            "sqlite::memory:",
            "a database in memory is not offered, for its readers need the file",
        ),
        (
            "postgres://ada:s3cret@h:port/d",
            "expected postgres://USER:PASSWORD@HOST:PORT/DATABASE?OPTION=VALUE",
        ),
        (
            "postgres://ada:s3cret@h/d?sslmod=require",
            "it has an option that is not known; did you mean \"sslmode\"?",
        ),
        (
            "postgres://ada:s3?cret=1@h/d",
            "it has an option that is not known (write \"?\" in a password as %3F)",
        ),
        (
            "postgres://ada:s3?cret@h/d",
            "an option after \"?\" has no value; write name=value",
        ),
        (
            "postgres://ada:s3cret@h/d?sslmode=yes",
            "sslmode is one of disable, prefer, require, verify-ca, verify-full",
        ),
        (
            "postgres://ada:s3cret@h/d?sslrootcert=/ca.pem",
            "sslrootcert needs sslmode=require, verify-ca or verify-full",
        ),
        (
            "postgres://ada:s3cret@h/d?schema=a;drop",
            "schema takes up to 40 of a-z, 0-9 and \"_\", not starting with a digit or \"pg_\"",
        ),
        (
            "postgres://ada:s3cret@h/d?pool=0",
            "pool is a number of connections from 1 to 1000",
        ),
        (
            "postgres://ada:s3cret@h/d?statement_timeout=soon",
            "statement_timeout is a span such as 30s",
        ),
    ];
    for (url, problem) in cases {
        let error = url.parse::<DbUrl>().unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("the database URL can't be used: {problem}")
        );
        assert!(
            !format!("{error:?} {:?}", error.hint()).contains("s3"),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_without_the_password() {
    let url: DbUrl = "postgres://ada:s3cret@127.0.0.1:1/loop".parse().unwrap();
    let error = everloop_db::Db::open(&url, &[], &everloop_core::Clock::system())
        .await
        .err()
        .unwrap();
    let text = format!("{error} {error:?}");
    assert!(text.contains("127.0.0.1:1") && text.contains("refused"), "{text}");
    assert!(!text.contains("s3cret"), "{text}");
}
