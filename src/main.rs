//! The `deskinit` program: picks the role and hands it its settings.

fn main() {}
