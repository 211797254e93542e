//! Effect sizes by name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::bins::Edges;
use super::categories::merge_rare;
use super::counts::{self, LogBase, Zeros};
use super::{Sample, cdf, contingency};
use crate::rank::Groups;
use crate::{Error, Result};

/// How far apart two samples are, and by whose definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "&'static str", try_from = "String")]
pub enum Method {
    /// PSI over ten quantile bins of the reference, ends open: the definition of credit scoring. Numbers and
    /// categories; empty bins as [`Zeros::Evidently`].
    Psi,
    /// PSI of Evidently 0.7: Sturges bins over both samples.
    PsiEvidently,
    /// PSI of Deepchecks 0.19: categories only, rare ones merged, shares at least 0.01.
    PsiDeepchecks,
    /// PSI of frouros 0.9: ten bins of equal width over both samples, numbers only.
    PsiFrouros,
    /// Kullback-Leibler divergence of Evidently 0.7.
    KlEvidently,
    /// Jensen-Shannon distance of Evidently 0.7: natural logarithm, Sturges bins over both samples.
    JensenShannonEvidently,
    /// Jensen-Shannon distance of NannyML 0.13: binary logarithm, Doane bins of the reference, one for strays.
    JensenShannonNannyml,
    /// Hellinger distance of Evidently 0.7: Sturges bins over the distinct values.
    HellingerEvidently,
    /// Hellinger distance of NannyML 0.13: bins as its Jensen-Shannon distance.
    HellingerNannyml,
    /// First Wasserstein distance in units of the column; SciPy, NannyML (below 10,000 reference rows). Numbers only.
    Wasserstein,
    /// Wasserstein distance over the reference's standard deviation, as Evidently 0.7. Numbers only.
    WassersteinNormed,
    /// Wasserstein distance after cutting tails and scaling, as Deepchecks 0.19. Numbers only.
    WassersteinDeepchecks,
    /// Energy distance of SciPy and Evidently. Numbers only.
    Energy,
    /// Kolmogorov-Smirnov statistic of SciPy, NannyML, Deepchecks. Numbers only.
    Ks,
    /// Cramer's V with bias correction. Categories only.
    CramersV,
    /// Cramer's V of Deepchecks 0.19. Categories only.
    CramersVDeepchecks,
    /// Total variation distance. Categories only.
    TotalVariation,
    /// L-infinity distance of NannyML. Categories only.
    LInfinity,
}

/// The kind of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Ordered numbers.
    Numeric,
    /// Names without order.
    Categorical,
}

/// Evidently gives a column with at most so many distinct reference values one bin per value.
const EVIDENTLY_DISTINCT: usize = 20;

impl Method {
    /// All methods.
    pub const ALL: [Self; 18] = [
        Self::Psi,
        Self::PsiEvidently,
        Self::PsiDeepchecks,
        Self::PsiFrouros,
        Self::KlEvidently,
        Self::JensenShannonEvidently,
        Self::JensenShannonNannyml,
        Self::HellingerEvidently,
        Self::HellingerNannyml,
        Self::Wasserstein,
        Self::WassersteinNormed,
        Self::WassersteinDeepchecks,
        Self::Energy,
        Self::Ks,
        Self::CramersV,
        Self::CramersVDeepchecks,
        Self::TotalVariation,
        Self::LInfinity,
    ];

    /// The name in files, tables and ledger rows.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Psi => "psi",
            Self::PsiEvidently => "psi_evidently",
            Self::PsiDeepchecks => "psi_deepchecks",
            Self::PsiFrouros => "psi_frouros",
            Self::KlEvidently => "kl_evidently",
            Self::JensenShannonEvidently => "jensen_shannon_evidently",
            Self::JensenShannonNannyml => "jensen_shannon_nannyml",
            Self::HellingerEvidently => "hellinger_evidently",
            Self::HellingerNannyml => "hellinger_nannyml",
            Self::Wasserstein => "wasserstein",
            Self::WassersteinNormed => "wasserstein_normed",
            Self::WassersteinDeepchecks => "wasserstein_deepchecks",
            Self::Energy => "energy",
            Self::Ks => "ks",
            Self::CramersV => "cramers_v",
            Self::CramersVDeepchecks => "cramers_v_deepchecks",
            Self::TotalVariation => "total_variation",
            Self::LInfinity => "l_infinity",
        }
    }

    /// Whether it measures columns of this kind.
    #[must_use]
    pub fn applies_to(self, kind: Kind) -> bool {
        match self {
            Self::Psi
            | Self::PsiEvidently
            | Self::KlEvidently
            | Self::JensenShannonEvidently
            | Self::JensenShannonNannyml
            | Self::HellingerEvidently
            | Self::HellingerNannyml => true,
            Self::PsiFrouros
            | Self::Wasserstein
            | Self::WassersteinNormed
            | Self::WassersteinDeepchecks
            | Self::Energy
            | Self::Ks => kind == Kind::Numeric,
            Self::PsiDeepchecks
            | Self::CramersV
            | Self::CramersVDeepchecks
            | Self::TotalVariation
            | Self::LInfinity => kind == Kind::Categorical,
        }
    }

    /// The effect on numbers: 0 for equal samples, larger for farther ones. `O(n + m)` at most.
    ///
    /// # Errors
    /// A method for categories only.
    pub fn numeric(self, reference: &Sample, current: &Sample) -> Result<f64> {
        let binned = |edges: Edges| (edges.count(reference).counts, edges.count(current).counts);
        match self {
            Self::Psi => {
                let edges = Edges::quantiles(reference, 10)?;
                counts::psi(
                    &edges.count_open(reference),
                    &edges.count_open(current),
                    Zeros::Evidently,
                )
            }
            Self::PsiFrouros => {
                let low = reference.min().min(current.min());
                let (r, c) = binned(Edges::equal_width(low, reference.max().max(current.max()), 10)?);
                counts::psi(&r, &c, Zeros::Frouros)
            }
            Self::PsiEvidently | Self::KlEvidently | Self::JensenShannonEvidently => {
                let (r, c) = evidently_counts(reference, current);
                self.categorical(&r, &c)
            }
            Self::HellingerEvidently => {
                let (r, c) = binned(Edges::sturges_distinct(reference, current));
                counts::hellinger(&r, &c)
            }
            Self::JensenShannonNannyml | Self::HellingerNannyml => {
                let (r, c) = nannyml_counts(reference, current);
                self.categorical(&r, &c)
            }
            Self::Wasserstein => Ok(cdf::wasserstein(reference, current)),
            Self::WassersteinNormed => Ok(cdf::wasserstein_normed(reference, current)),
            Self::WassersteinDeepchecks => cdf::wasserstein_deepchecks(reference, current),
            Self::Energy => Ok(cdf::energy_distance(reference, current)),
            Self::Ks => Ok(cdf::ks_statistic(reference, current)),
            Self::PsiDeepchecks
            | Self::CramersV
            | Self::CramersVDeepchecks
            | Self::TotalVariation
            | Self::LInfinity => Err(Error::NotApplicable {
                what: self.name(),
                to: "numeric columns",
            }),
        }
    }

    /// The effect on counts of categories, or of bins that were counted before (a stored histogram): 0 for equal
    /// shares, larger for farther ones. `O(k)`.
    ///
    /// # Errors
    /// Unequal lengths, a side without rows, or a method for numbers only.
    pub fn categorical(self, reference: &[u64], current: &[u64]) -> Result<f64> {
        match self {
            Self::Psi | Self::PsiEvidently => counts::psi(reference, current, Zeros::Evidently),
            Self::PsiDeepchecks => {
                let (reference, current) = merge_rare(reference, current, 0.01)?;
                counts::psi(&reference, &current, Zeros::Deepchecks)
            }
            Self::KlEvidently => counts::kullback_leibler(reference, current, Zeros::Evidently),
            Self::JensenShannonEvidently => counts::jensen_shannon(reference, current, LogBase::E),
            Self::JensenShannonNannyml => counts::jensen_shannon(reference, current, LogBase::Two),
            Self::HellingerEvidently | Self::HellingerNannyml => counts::hellinger(reference, current),
            Self::CramersV => contingency::cramers_v(reference, current),
            Self::CramersVDeepchecks => contingency::cramers_v_deepchecks(reference, current),
            Self::TotalVariation => counts::total_variation(reference, current),
            Self::LInfinity => counts::l_infinity(reference, current),
            Self::PsiFrouros
            | Self::Wasserstein
            | Self::WassersteinNormed
            | Self::WassersteinDeepchecks
            | Self::Energy
            | Self::Ks => Err(Error::NotApplicable {
                what: self.name(),
                to: "categorical columns",
            }),
        }
    }
}

/// The effect Evidently 0.7 chooses for a column of more than 1,000 reference rows, and its threshold: Wasserstein
/// (normed) for numbers, Jensen-Shannon for categories and for numbers with at most 5 distinct values, both 0.1.
/// (Below that it goes by p-values alone: KS, or chi-square as [`super::chi_square_fit`].)
#[must_use]
pub fn evidently_default(kind: Kind, distinct: usize) -> (Method, f64) {
    match kind {
        Kind::Numeric if distinct > 5 => (Method::WassersteinNormed, 0.1),
        Kind::Numeric | Kind::Categorical => (Method::JensenShannonEvidently, 0.1),
    }
}

/// One bin per value where the reference has at most 20 of them, else Sturges bins over both samples.
fn evidently_counts(reference: &Sample, current: &Sample) -> (Vec<u64>, Vec<u64>) {
    if reference.distinct_up_to(EVIDENTLY_DISTINCT).is_some() {
        let groups = Groups::new(reference.values(), current.values());
        return groups.map(|group| (group.a as u64, group.b as u64)).unzip();
    }
    let edges = Edges::sturges(reference, current);
    (edges.count(reference).counts, edges.count(current).counts)
}

/// Doane bins of the reference, and one more for current values outside.
fn nannyml_counts(reference: &Sample, current: &Sample) -> (Vec<u64>, Vec<u64>) {
    let edges = Edges::doane(reference);
    let mut inside = edges.count(current);
    let mut expected = edges.count(reference).counts;
    inside.counts.push(inside.below + inside.above);
    expected.push(0);
    (expected, inside.counts)
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl From<Method> for &'static str {
    fn from(method: Method) -> Self {
        method.name()
    }
}

impl FromStr for Method {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|method| method.name() == text.trim());
        found.ok_or_else(|| Error::UnknownName {
            kind: "drift method",
            found: text.chars().take(80).collect(),
            hint: everloop_core::did_you_mean(text, Self::ALL.map(Self::name)).unwrap_or_default(),
        })
    }
}

impl TryFrom<String> for Method {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn applicability_is_what_the_functions_do() {
        let sample = Sample::new(&[1.0, 2.0, 3.0, 5.0]).unwrap();
        for method in Method::ALL {
            assert_eq!(method.name().parse::<Method>().unwrap(), method);
            assert_eq!(
                method.numeric(&sample, &sample).is_ok(),
                method.applies_to(Kind::Numeric),
                "{method}"
            );
            let counts = method.categorical(&[30, 20], &[30, 20]);
            assert_eq!(counts.is_ok(), method.applies_to(Kind::Categorical), "{method}");
        }
        assert!("psy".parse::<Method>().unwrap_err().to_string().contains("psy"));
    }
}
