//! Proofs of identity: HTTP Digest and Basic, API tokens, sealed secrets. Pure checks, no I/O.
