"""Events out: what happened is collected into the outbox, and delivered from there to each receiver."""
