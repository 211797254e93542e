//! Pure statistics: metrics, drift distances, tests, intervals, sequential inference.
