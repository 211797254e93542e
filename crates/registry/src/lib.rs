//! Registered models, versions, aliases.
