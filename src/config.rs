//! Configuration: joins every part's Config and collects all problems at once.
