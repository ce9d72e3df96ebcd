"""Deterministic simulation of the whole path: the product's classes on a virtual clock; see `docs/simulation.md`."""
