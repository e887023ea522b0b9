//! Connection requests against scripted CPEs.
