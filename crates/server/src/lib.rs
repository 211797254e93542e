//! HTTP: decode, authorise, call one capability, encode.
