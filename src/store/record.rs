//! Versioned persisted forms.
