//! Procedures: how a transaction becomes RPCs. Pure state machines, fed with answers and Inform events.
