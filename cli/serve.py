"""`fraud serve`: the model server."""

from ml_model.__main__ import serve as command

__all__ = ["command"]
