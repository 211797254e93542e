//! The hash that links a row to the one before it in the same project.
//!
//! Each field goes in with its length before it, so that no two rows give the same bytes. The payload goes in as the
//! text that is stored, which is thereby the canonical form: nothing needs to be printed again to be checked.

use everloop_core::{Hash, Hasher};

/// Changes when the fields or their order change.
const FORMAT: &[u8] = b"everloop ledger 1";

/// What the first row of a project has before it.
pub(crate) fn genesis() -> Hash {
    Hash::from_bytes([0; 32])
}

/// A row's fields as they are stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Link<'r> {
    pub seq: i64,
    pub at: i64,
    pub actor: &'r str,
    pub project: &'r str,
    pub kind: &'r str,
    pub subject: &'r str,
    pub payload: &'r str,
    pub prev_hash: Hash,
}

impl Link<'_> {
    pub(crate) fn hash(&self) -> Hash {
        Hasher::new()
            .field(FORMAT)
            .field(&self.seq.to_le_bytes())
            .field(&self.at.to_le_bytes())
            .field(self.actor.as_bytes())
            .field(self.project.as_bytes())
            .field(self.kind.as_bytes())
            .field(self.subject.as_bytes())
            .field(self.payload.as_bytes())
            .field(self.prev_hash.as_bytes())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> Link<'static> {
        Link {
            seq: 1,
            at: 2,
            actor: "local:ada",
            project: "flights",
            kind: "dataset.version",
            subject: "dataset:flights@1",
            payload: "{}",
            prev_hash: genesis(),
        }
    }

    #[test]
    fn every_field_counts() {
        let base = link().hash();
        let changed = [
            Link { seq: 2, ..link() },
            Link { at: 3, ..link() },
            Link {
                actor: "local:eve",
                ..link()
            },
            Link {
                project: "flight",
                ..link()
            },
            Link {
                kind: "dataset.versions",
                ..link()
            },
            Link {
                subject: "dataset:flights@2",
                ..link()
            },
            Link {
                payload: "{ }",
                ..link()
            },
            Link {
                prev_hash: base,
                ..link()
            },
            // The same letters with another border between the fields.
            Link {
                kind: "dataset.versiond",
                subject: "ataset:flights@1",
                ..link()
            },
        ];
        for other in changed {
            assert_ne!(other.hash(), base, "{other:?}");
        }
    }

    #[test]
    fn the_format_stands() {
        // Stored chains hold this: when it changes, old ledgers no longer verify.
        assert_eq!(
            link().hash().to_hex(),
            "64041f8aec0163ff67cbca12a0a3ebb9d4f411be77a808933a0a627d485e9b97"
        );
    }
}
