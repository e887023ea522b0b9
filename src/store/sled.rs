//! The embedded backend: the one module that names sled.
