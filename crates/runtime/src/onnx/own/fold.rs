//! Chains of comparisons back to sets of categories: one test instead of many.

use crate::trees::{Split, SplitKind, Tree, TreeNode};

/// Most links of a chain: codes are bins.
const MAX_LINKS: usize = 256;

/// The tree with each chain of comparisons of one category as one test for members of a set.
pub(super) fn folded(mut tree: Tree<f32>, is_category: impl Fn(usize) -> bool) -> Tree<f32> {
    let sets: Vec<Option<TreeNode<f32>>> = (0..tree.nodes.len())
        .map(|place| fold(&tree.nodes, place, &is_category))
        .collect();
    // Only what the root reaches is kept, so the further links of a chain vanish.
    for (node, set) in tree.nodes.iter_mut().zip(sets) {
        if let Some(set) = set {
            *node = set;
        }
    }
    tree
}

/// The set that the chain from `place` on tests for: codes up to the first threshold go to its child, those up to the
/// second to the second's, and the rest to the end of the chain; in all there are two children.
fn fold(nodes: &[TreeNode<f32>], place: usize, is_category: impl Fn(usize) -> bool) -> Option<TreeNode<f32>> {
    let link = |place: usize| match nodes.get(place)? {
        TreeNode::Split(split) => match split.kind {
            SplitKind::AtMost(threshold) => Some((split, threshold)),
            _ => None,
        },
        _ => None,
    };
    let (head, _) = link(place)?;
    if !is_category(head.feature) {
        return None;
    }
    let yes = head.yes;
    let mut members = vec![0_u32; MAX_LINKS / 32];
    let (mut at, mut code, mut no, mut missing) = (place, 0, None, None);
    for _ in 0..MAX_LINKS {
        let Some((split, threshold)) = link(at).filter(|(split, _)| split.feature == head.feature) else {
            break;
        };
        // Before the second child is known, any other child is it; after, a third one ends the chain.
        if split.yes != yes && *no.get_or_insert(split.yes) != split.yes {
            break;
        }
        while code < MAX_LINKS && (code as f32) <= threshold {
            members[code / 32] |= u32::from(split.yes == yes) << (code % 32);
            code += 1;
        }
        if split.missing_yes {
            missing.get_or_insert(split.yes);
        }
        at = split.no;
    }
    // The chain must end in one of the two, and be worth folding.
    if at == yes {
        (code..MAX_LINKS).for_each(|code| members[code / 32] |= 1 << (code % 32));
    } else if *no.get_or_insert(at) != at {
        return None;
    }
    let no = no?;
    (head.no != no).then(|| {
        TreeNode::Split(Split {
            feature: head.feature,
            kind: SplitKind::Member(members),
            yes,
            no,
            missing_yes: missing.unwrap_or(at) == yes,
        })
    })
}
