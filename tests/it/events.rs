//! What happened is recorded, told and pushed: end to end, over kills and restarts.

mod kill;
mod lifecycle;
mod receiver;
mod webhooks;
