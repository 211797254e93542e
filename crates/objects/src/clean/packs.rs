//! What becomes of packs: dropped when wholly dead, written anew when mostly dead or needlessly small.

use super::mark::{Marked, Pack};
use crate::key::{Key, PackId, PieceId};
use crate::pack::{ENTRY, Entry};
use crate::pieces::{Piece, Pieces};
use crate::{Error, Result};

/// Packs below this size are merged once there are [`MANY_SMALL`] of them: each costs a request to find out about.
const SMALL: u64 = 1 << 20;

const MANY_SMALL: usize = 32;

/// What a pack holds, by whether it is still needed.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) pack: &'a Pack,
    pub(super) live: Vec<PieceId>,
    pub(super) dead: Vec<PieceId>,
    /// What goes when the pack is dropped and its living pieces, if any, are written elsewhere.
    pub(super) dead_bytes: u64,
}

impl<'a> Plan<'a> {
    fn of(pack: &'a Pack, marked: &Marked) -> Self {
        let (live, dead): (Vec<&Entry>, Vec<&Entry>) =
            pack.entries.iter().partition(|entry| marked.is_live(&entry.id));
        let kept: u64 = live
            .iter()
            .map(|entry| u64::from(entry.length) + ENTRY as u64)
            .sum();
        let dead_bytes = if live.is_empty() {
            pack.size
        } else {
            pack.size.saturating_sub(kept)
        };
        Self {
            pack,
            live: live.iter().map(|entry| entry.id).collect(),
            dead: dead.iter().map(|entry| entry.id).collect(),
            dead_bytes,
        }
    }

    fn is_mostly_dead(&self) -> bool {
        !self.dead.is_empty() && self.dead_bytes * 2 >= self.pack.size
    }

    /// The file whose age decides over the pack.
    pub(super) fn container(&self) -> Key {
        Key::index(self.pack.id)
    }
}

/// Which old packs go, and which stay as they are.
pub(super) fn plan<'a>(marked: &'a Marked) -> (Vec<Plan<'a>>, Vec<Plan<'a>>) {
    let plans: Vec<Plan<'_>> = marked
        .packs
        .iter()
        .filter(|pack| pack.old)
        .map(|pack| Plan::of(pack, marked))
        .collect();
    let small = plans
        .iter()
        .filter(|plan| plan.pack.size < SMALL && !plan.is_mostly_dead())
        .count();
    plans
        .into_iter()
        .partition(|plan| plan.is_mostly_dead() || (plan.pack.size < SMALL && small >= MANY_SMALL))
}

/// Writes the living pieces of packs that go into new packs, and names the packs that can be dropped now. A pack with a
/// damaged piece stays: dropping it would destroy what might be mended by hand.
pub(super) async fn rewrite(pieces: &Pieces, plans: &[Plan<'_>]) -> Result<Vec<PackId>> {
    let mut done = Vec::new();
    let mut group: Vec<Piece> = Vec::new();
    let mut waiting: Vec<PackId> = Vec::new();
    let mut size = 0;
    for plan in plans {
        match living(pieces, plan).await {
            Ok(living) => {
                size += living.iter().map(|piece| piece.bytes.len()).sum::<usize>();
                group.extend(living);
                waiting.push(plan.pack.id);
            }
            Err(error @ Error::Corrupt { .. }) => {
                tracing::warn!(pack = %plan.pack.id, %error, "a damaged pack stays as it is");
            }
            Err(error) => return Err(error),
        }
        if size >= crate::pack::LARGEST_PACK {
            pieces.write_packs(&group.iter().collect::<Vec<_>>()).await?;
            done.append(&mut waiting);
            group.clear();
            size = 0;
        }
    }
    pieces.write_packs(&group.iter().collect::<Vec<_>>()).await?;
    done.append(&mut waiting);
    Ok(done)
}

/// The verified bytes of the pieces of a pack that are still needed.
async fn living(pieces: &Pieces, plan: &Plan<'_>) -> Result<Vec<Piece>> {
    let mut living = Vec::with_capacity(plan.live.len());
    for id in &plan.live {
        let bytes = pieces.read(*id).await?.ok_or_else(|| Error::Corrupt {
            hash: id.hash,
            problem: format!("pack {} lost it", plan.pack.id),
        })?;
        living.push(Piece { id: *id, bytes });
    }
    Ok(living)
}
