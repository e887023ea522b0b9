//! Between bytes and messages: one pass in, one buffer out.
