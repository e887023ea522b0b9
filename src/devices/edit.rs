//! Operators' changes: creating, replacing and patching devices, and the settings that become pending by it.
