//! Which key events applications see.
