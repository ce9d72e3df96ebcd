from console import audit
from console.audit import Reads


class Log:
    def __init__(self) -> None:
        self.lines: list[tuple[str, str, str]] = []
        self.reads = Reads(lambda *line: self.lines.append(line))


def test_an_object_is_read_once_a_view() -> None:
    log = Log()
    for shown in (["a", "b"], ["a", "b"], ["c", "a"], []):
        log.reads.note("ann", "session", "queue", shown)
    assert log.lines == [("ann", "read", "a b"), ("ann", "read", "c")]


def test_another_view_another_session_and_no_view_are_reads_of_their_own() -> None:
    log = Log()
    for session, view in (("one", "first"), ("one", "second"), ("two", "first"), ("one", None), ("one", None)):
        log.reads.note("ann", session, view, ["a", "a"])
    assert log.lines == [("ann", "read", "a")] * 5


def test_memory_is_bounded_and_what_is_forgotten_is_written_again() -> None:
    log = Log()
    for n in range(3 * audit.VIEWS):
        log.reads.note("ann", "session", f"view {n}", ["a"])
        log.reads.note("ann", "session", "long", [f"{n}"])
    assert len(log.reads._seen) <= audit.VIEWS
    assert max(map(len, log.reads._seen.values())) <= audit.VIEWS
    before = len(log.lines)
    log.reads.note("ann", "session", "view 0", ["a"])
    assert len(log.lines) == before + 1
