//! Who may do what: permissions, roles, tokens, and the principal that a request acts as.
//!
//! Every route names a [`Permission`]; the server asks [`Principal::authorize`] once, before the capability runs.
//! Local mode (a server bound to loopback only) acts as the person at the machine; every other bind needs a token.
//! Users, groups and single sign-on come later as further ways to become a [`Principal`]; the rest stays.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod error;
mod permission;
mod principal;
mod tokens;

pub use error::{Error, Result};
pub use permission::{Action, Permission, Resource, Role, Signer};
pub use principal::Principal;
pub use tokens::{MIGRATIONS, NewToken, Secret, Token, TokenScope, Tokens};
