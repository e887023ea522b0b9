//! The REST facade: handlers that decode, authorise, call one service, and encode.
