//! What the command line itself refuses, and how any error becomes words and an exit code.

use everloop_core::{Code, Coded};
use std::io;

use crate::client::ClientError;
use crate::config::ConfigError;
use crate::exit::Exit;
use crate::output::{describe, describe_coded};

/// Something that the command line refuses before it asks anyone.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    code: Code,
    message: String,
    location: Option<String>,
    hint: Option<String>,
}

impl Problem {
    /// A problem with its kind.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            location: None,
            hint: None,
        }
    }

    /// The command was used wrongly.
    #[must_use]
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, message)
    }

    /// With where it is.
    #[must_use]
    pub fn at(mut self, location: impl Into<String>) -> Self {
        self.location = Some(location.into());
        self
    }

    /// With how to mend it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl Coded for Problem {
    fn code(&self) -> Code {
        self.code
    }

    fn location(&self) -> Option<String> {
        self.location.clone()
    }

    fn hint(&self) -> Option<String> {
        self.hint.clone()
    }
}

/// How a failed command ends, and what it says; nothing when the reader of our output has left.
#[must_use]
pub fn verdict(error: &anyhow::Error) -> (Exit, Option<String>) {
    if is_closed_pipe(error) {
        return (Exit::Done, None);
    }
    if let Some(invalid) = error.downcast_ref::<everloop_project::Invalid>() {
        return (
            Exit::Usage,
            Some(format!(
                "error: the project file is not valid\n{}",
                invalid.render().trim_end()
            )),
        );
    }
    match coded(error) {
        Some(coded) => (coded.code().into(), Some(describe_coded(coded))),
        None => (Exit::Failed, Some(describe(&format!("{error:#}"), None, None))),
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// The error with its code, when it is one of ours.
fn coded(error: &anyhow::Error) -> Option<&dyn Coded> {
    macro_rules! first_of {
        ($($kind:ty),* $(,)?) => {
            $(if let Some(found) = error.downcast_ref::<$kind>() {
                return Some(found);
            })*
        };
    }
    first_of!(
        Problem,
        ClientError,
        ConfigError,
        everloop_server::OpenError,
        everloop_server::ListenError,
        everloop_access::Error,
        everloop_controller::Error,
        everloop_db::Error,
        everloop_objects::Error,
        everloop_tables::Error,
    );
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_left_is_no_failure() {
        let error = anyhow::Error::new(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(verdict(&error), (Exit::Done, None));
    }

    #[test]
    fn scripts_can_tell_a_refusal_from_a_failure() {
        let refused = anyhow::Error::new(Problem::new(Code::Refused, "gate \"auc\" said no"));
        assert_eq!(verdict(&refused).0, Exit::Refused);
        let failed =
            anyhow::Error::new(Problem::new(Code::NotFound, "no model is called \"x\"").hint("look"));
        let (exit, text) = verdict(&failed);
        assert_eq!(exit, Exit::Failed);
        assert_eq!(text.unwrap(), "error: no model is called \"x\"\n  hint: look");
    }
}
