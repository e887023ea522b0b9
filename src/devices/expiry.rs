//! The timer wheel that notices silence: `Up` devices become `Down` when their Inform is overdue.
