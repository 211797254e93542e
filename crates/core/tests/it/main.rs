//! Integration tests of core, and the tests of the house as a whole: core stands below every crate, so a rule about
//! all of them has no better home.

mod house;
