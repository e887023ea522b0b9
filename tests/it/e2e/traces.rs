//! Sessions of devices that are being looked into are recorded, without their secrets.
