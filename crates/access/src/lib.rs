//! Who may do what: permissions, tokens, local mode.
