//! `/api/v1/tokens`: who else may use this server.

use axum::extract::State;
use everloop_access::{NewToken, Permission, Resource, Role, Token, TokenScope};
use everloop_core::{ProjectName, parse_duration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::{Done, Time};
use crate::extract::{Json, Path};
use crate::routes::{Doc, Routes};
use crate::{ApiError, ApiResult, App, Caller};

pub(crate) fn routes(routes: Routes) -> Routes {
    let admin = Permission::admin(Resource::Token);
    routes
        .get(
            admin,
            "/api/v1/tokens",
            Doc::new("list_tokens", "All tokens, never their secrets.").answer::<TokenList>(),
            list,
        )
        .post(
            admin,
            "/api/v1/tokens",
            Doc::new("create_token", "Makes a token and shows its secret once.")
                .body::<CreateToken>()
                .answer::<CreatedToken>(),
            create,
        )
        .delete(
            admin,
            "/api/v1/tokens/{id}",
            Doc::new("revoke_token", "Revokes a token at once; again is fine.").answer::<Done>(),
            revoke,
        )
}

/// All tokens.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct TokenList {
    /// Newest first.
    pub tokens: Vec<TokenBody>,
}

/// What is known of a token.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct TokenBody {
    /// Names the token; not secret.
    pub id: String,
    /// Says who uses it.
    pub label: String,
    /// viewer, client, stage, editor, approver or admin.
    pub role: String,
    /// Where it is good.
    pub scope: String,
    /// When it was made.
    pub created_at: Time,
    /// When it ends; none means never.
    pub expires_at: Option<Time>,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Time>,
}

impl From<Token> for TokenBody {
    fn from(token: Token) -> Self {
        Self {
            id: token.id,
            label: token.label,
            role: token.role.to_string(),
            scope: token.scope.to_string(),
            created_at: token.created_at.into(),
            expires_at: token.expires_at.map(Into::into),
            revoked_at: token.revoked_at.map(Into::into),
        }
    }
}

/// A token to make.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    /// Says who will use it.
    pub label: String,
    /// viewer, client, stage, editor, approver or admin.
    pub role: String,
    /// Limits it to one project.
    pub project: Option<String>,
    /// How long it lives, such as `30d`; until revoked when not given.
    pub lifetime: Option<String>,
}

/// A new token with its secret.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct CreatedToken {
    /// What is known of it from now on.
    pub token: TokenBody,
    /// The secret; it is not stored and can't be shown again.
    pub secret: String,
}

async fn list(State(app): State<App>) -> ApiResult<Json<TokenList>> {
    let tokens = app.tokens().list().await?;
    Ok(Json(TokenList {
        tokens: tokens.into_iter().map(Into::into).collect(),
    }))
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<CreateToken>,
) -> ApiResult<Json<CreatedToken>> {
    let invalid = |error: &dyn std::error::Error| ApiError::invalid(error.to_string());
    let role: Role = body.role.parse().map_err(|error| invalid(&error))?;
    let scope = match body.project {
        Some(name) => TokenScope::Project {
            project: ProjectName::new(name).map_err(|error| invalid(&error))?,
        },
        None => TokenScope::Everything,
    };
    let lifetime = body
        .lifetime
        .as_deref()
        .map(parse_duration)
        .transpose()
        .map_err(|error| invalid(&error))?;
    let new = NewToken {
        label: body.label,
        role,
        scope,
        lifetime,
    };
    let (token, secret) = app.tokens().create(caller.actor(), new).await?;
    Ok(Json(CreatedToken {
        token: token.into(),
        secret: secret.reveal().to_owned(),
    }))
}

async fn revoke(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> ApiResult<Json<Done>> {
    app.tokens().revoke(caller.actor(), &id).await?;
    Ok(Done::YES)
}
