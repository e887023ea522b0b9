//! The reference backend: everything in memory, for tests and simulation.
