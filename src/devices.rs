//! The inventory: what an Inform teaches acsd of a device.
