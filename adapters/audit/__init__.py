"""Where the audit log is."""
