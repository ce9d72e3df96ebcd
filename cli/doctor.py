"""`fraud doctor`: checks this machine and says how to mend it."""

from __future__ import annotations

from adapters.program import ConfigOption, SetOption, open_program


def command(config: ConfigOption = None, assignments: SetOption = None) -> None:
    """Check Java, Python, ports, endpoint and credentials."""
    open_program("doctor", config, assignments)
