//! Files to start from.

use everloop_core::ProjectName;

/// A small project that is valid as it stands, with the rest of the grammar in comments.
const BLANK: &str = include_str!("../templates/blank.yaml");
const NAME: &str = "project: my-project";

/// What `everloop init` writes for a project called `name`.
#[must_use]
pub fn blank(name: &ProjectName) -> String {
    // Quoted, because a name such as `007` or `true` would else be read as something other than a text.
    let line = match name.as_str() {
        plain if plain.starts_with(|c: char| c.is_ascii_alphabetic()) && !is_word_of_yaml(plain) => {
            format!("project: {plain}")
        }
        odd => format!("project: \"{odd}\""),
    };
    BLANK.replacen(NAME, &line, 1)
}

fn is_word_of_yaml(text: &str) -> bool {
    matches!(
        text.to_lowercase().as_str(),
        "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
    )
}
