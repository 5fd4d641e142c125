//! Selections, both ways.
