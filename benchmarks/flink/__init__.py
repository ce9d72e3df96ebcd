"""The Flink side of `benchmarks.windows`; runs in an environment of its own (`requirements.txt` here)."""
