"""`fraud produce`: the producer."""

from producer.main import command

__all__ = ["command"]
