//! The CWMP endpoint: accept loop, HTTP rules, authentication, and the driver that runs each session action.
