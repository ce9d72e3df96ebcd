"""The archive of decisions, labels and dead letters on S3, and what reads it."""
