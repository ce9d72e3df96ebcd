"""Events that other systems get: their shape, what a receiver wants of them, how they are signed and worded."""
