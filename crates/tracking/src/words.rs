//! The small words that all modules here share: which lifecycle, one page of a list.

/// Which of the living and the deleted to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Lifecycle {
    /// What was not deleted.
    #[default]
    Active,
    /// What was deleted and can be restored.
    Deleted,
    /// Both.
    All,
}

impl Lifecycle {
    /// The condition on a `deleted_at` column.
    pub(crate) fn condition(self) -> &'static str {
        match self {
            Self::Active => "deleted_at IS NULL",
            Self::Deleted => "deleted_at IS NOT NULL",
            Self::All => "1 = 1",
        }
    }
}

/// One page of a list, and where the next one starts.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T, C> {
    /// At most as many as were asked for.
    pub items: Vec<T>,
    /// What to pass to get the next page; `None` on the last.
    pub next: Option<C>,
}

impl<T, C> Page<T, C> {
    /// Cuts a list that was read with one item more than `limit` asks for.
    pub(crate) fn cut(mut items: Vec<T>, limit: usize, cursor: impl Fn(&T) -> C) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more { items.last().map(cursor) } else { None };
        Self { items, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_offered_only_when_there_is_more() {
        let whole = Page::cut(vec![1, 2], 2, |n| *n);
        assert_eq!((whole.items, whole.next), (vec![1, 2], None));
        let cut = Page::cut(vec![1, 2, 3], 2, |n| *n);
        assert_eq!((cut.items, cut.next), (vec![1, 2], Some(2)));
        let nothing = Page::cut(vec![1], 0, |n| *n);
        assert_eq!((nothing.items, nothing.next), (vec![], None));
    }
}
