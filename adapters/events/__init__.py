"""The outbox of events, and those who get them."""
