//! What the raw parameters of a finished test mean: pure functions from what a device reported to what the API shows.
