//! TLS server configuration from PEM files, reloadable.
