"""The streaming job: Kinesis source, keyed state, decision, sinks."""
