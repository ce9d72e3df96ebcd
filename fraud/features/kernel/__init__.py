"""The compiled fold: one pass over events computes every feature of an entity and updates its state in place.

`layout` says where everything lies, `windows` reads a key's remembered events, `habits` its whole history, `memory`
keeps both, and `fold` is the pass. Nothing is imported here: `layout` needs no compiler.
"""
