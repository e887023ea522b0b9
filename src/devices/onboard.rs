//! What happens when a device Informs: who it is, whether it may, what it teaches, what it is given.
