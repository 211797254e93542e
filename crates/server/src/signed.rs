//! Requests that carry a signature instead of a token: who may send them proves it with the body itself.

use axum::body::{Body, Bytes};
use axum::http::HeaderMap;
use everloop_core::Code;
use everloop_webhooks::signature::{is_same, is_signed};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::{ApiError, ApiResult};

/// The variable that holds the secret which git hosts sign their messages with.
pub const GIT_SECRET_VARIABLE: &str = "EVERLOOP_GIT_WEBHOOK_SECRET";
/// The most bytes of a signed body: anyone may make us read them.
const LARGEST: usize = 5 << 20;

/// The body of a request whose sender is not known yet.
pub(crate) async fn read(body: Body) -> ApiResult<Bytes> {
    match Limited::new(body, LARGEST).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ApiError::too_large(LARGEST)),
        Err(error) => Err(ApiError::invalid(format!("the body ended early: {error}"))),
    }
}

/// Refuses a body that no git host signed with `secret`.
///
/// GitHub, Gitea and Forgejo send the HMAC-SHA256 of the body in hex (`x-hub-signature-256`, `x-gitea-signature`);
/// GitLab sends the secret itself (`x-gitlab-token`).
pub(crate) fn by_git(secret: Option<&str>, headers: &HeaderMap, body: &[u8]) -> ApiResult<()> {
    let Some(secret) = secret else {
        return Err(ApiError::new(
            Code::FailedPrecondition,
            "this server takes no messages of git hosts: it knows no secret of theirs",
        )
        .with_hint(format!(
            "set {GIT_SECRET_VARIABLE} to the secret of the webhook, and start the server again"
        )));
    };
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let is_good = if let Some(signature) = text("x-hub-signature-256") {
        signature
            .strip_prefix("sha256=")
            .is_some_and(|tag| is_tag_of(secret, body, tag))
    } else if let Some(signature) = text("x-gitea-signature") {
        is_tag_of(secret, body, signature)
    } else if let Some(token) = text("x-gitlab-token") {
        is_same(secret.as_bytes(), token.as_bytes())
    } else {
        false
    };
    match is_good {
        true => Ok(()),
        false => Err(
            ApiError::new(Code::Unauthenticated, "the signature is missing or wrong")
                .with_hint("give the webhook at the git host the same secret as this server"),
        ),
    }
}

fn is_tag_of(secret: &str, body: &[u8], hex: &str) -> bool {
    let tag = bytes_of(hex);
    tag.is_some_and(|tag| is_signed(secret.as_bytes(), body, &tag))
}

fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    (0..32)
        .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use everloop_webhooks::signature::sign;

    fn check(name: &'static str, value: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        by_git(Some("s3cret"), &headers, b"{}").is_ok()
    }

    #[test]
    fn only_the_secret_opens() {
        let hex = |secret: &str| -> String {
            let tag = sign(secret.as_bytes(), &[b"{}"]);
            tag.iter().map(|byte| format!("{byte:02x}")).collect()
        };
        let (good, bad) = (hex("s3cret"), hex("other"));
        assert!(check("x-hub-signature-256", &format!("sha256={good}")));
        assert!(check("x-gitea-signature", &good));
        assert!(check("x-gitlab-token", "s3cret"));
        for (name, value) in [
            ("x-hub-signature-256", format!("sha256={bad}")),
            ("x-hub-signature-256", good.clone()),
            ("x-hub-signature-256", "sha256=".to_owned()),
            ("x-gitea-signature", bad),
            ("x-gitea-signature", "+f".repeat(32)),
            ("x-gitlab-token", "s3cre".to_owned()),
            ("x-gitlab-token", String::new()),
            ("authorization", "Bearer s3cret".to_owned()),
        ] {
            assert!(!check(name, &value), "{name}: {value}");
        }
    }

    #[test]
    fn without_a_secret_nothing_opens() {
        let mut headers = HeaderMap::new();
        headers.insert("x-gitlab-token", "".parse().unwrap());
        let refused = by_git(None, &headers, b"{}").unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition);
    }
}
