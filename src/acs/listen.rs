//! The accept loops of the CWMP endpoint: HTTP/1.1 rules, limits, TLS, drain.
