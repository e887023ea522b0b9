//! Builds store, services and edges, supervises the loops, drains on signal.
