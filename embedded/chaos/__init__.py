"""Kills a running job at random instants and compares what it stored with what a single process computes."""
