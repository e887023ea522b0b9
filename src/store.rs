//! Where everything that must last is kept: the traits and their backends.
