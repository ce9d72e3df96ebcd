"""`fraud process`: the streaming job."""

from processor.main import command

__all__ = ["command"]
