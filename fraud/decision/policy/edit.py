"""Changes a policy in its text: what is not changed, comments included, stays as its authors wrote it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import NamedTuple

import yaml

from fraud.decision.policy.bundle import ROOT, PolicyBundle
from fraud.decision.policy.compiled import DEFAULT_SEGMENT
from fraud.decision.policy.document import ListKind
from fraud.decision.rules.rule import RuleState
from fraud.documents import DocumentError, check_shape
from fraud.errors import FraudError

DRAFTS = "rules/drafts"
"""Folder beside the policy with a file for each rule that was drafted here."""

MOVES: dict[RuleState, tuple[RuleState, ...]] = {
    RuleState.DRAFT: (RuleState.SHADOW, RuleState.RETIRED),
    RuleState.SHADOW: (RuleState.LIVE, RuleState.DRAFT, RuleState.RETIRED),
    RuleState.LIVE: (RuleState.SHADOW, RuleState.RETIRED),
    RuleState.RETIRED: (),
}
"""Where a rule may go from each state: nothing becomes live without having been in shadow, nothing comes back."""


class EditError(FraudError):
    """A change of a policy that is refused."""


class _Entry(NamedTuple):
    file: str
    rule_id: str  # of a list, its name
    node: yaml.MappingNode

    @property
    def state(self) -> RuleState:
        found = _value(self.node, "state")
        try:
            return RuleState(found.value) if found is not None else RuleState.LIVE
        except (ValueError, TypeError):
            raise EditError(f"{self.rule_id}: state is one of {', '.join(RuleState)}") from None


def with_state(bundle: PolicyBundle, rule_id: str, state: RuleState) -> PolicyBundle:
    """Moves a rule or velocity limit to another state.

    Args:
        bundle: a policy that compiles.
        rule_id: of the rule.
        state: one of `MOVES` of its present state.

    Raises:
        EditError: there is no such rule, or it may not go there.
    """
    return _moved(bundle, _entry(bundle, rule_id), state)


def with_list_state(
    bundle: PolicyBundle, name: str, state: RuleState, shape: tuple[ListKind, str] | None = None
) -> PolicyBundle:
    """Moves a list to another state. A list that the files do not name gets its place in them.

    Args:
        bundle: a policy that compiles.
        name: of the list.
        state: one of `MOVES` of its present state; a list that there is not yet begins as draft or in shadow.
        shape: what a list that there is not yet does, and of what it is.

    Raises:
        EditError: there is no such list, or it may not go there.
    """
    root = bundle.files[ROOT]
    listed = _value(_compose(ROOT, root), "lists")
    nodes = listed.value if isinstance(listed, yaml.SequenceNode) else []
    for node in nodes:
        if (found := _value(node, "name")) is not None and found.value == name:
            return _moved(bundle, _Entry(ROOT, name, node), state)
    living = bundle.lists.by_name.get(name)
    if living is not None:
        shape = living.kind, living.of
    may = (RuleState.DRAFT, RuleState.SHADOW) if living is None else MOVES[RuleState.LIVE]
    if shape is None:
        raise EditError(f"the policy has no list {name}")
    kind, of = shape
    if state not in may:
        raise EditError(f"the list {name} may become {' or '.join(may)}")
    entry = f"{{name: {name}, kind: {kind}, of: {of}, state: {state}}}"
    if not isinstance(listed, yaml.SequenceNode):
        root = root.rstrip("\n") + f"\n\nlists:\n  - {entry}\n"
    elif listed.flow_style:
        root = _inserted(root, listed.start_mark.index + 1, f"{entry}, ")
    else:
        root = _inserted(root, listed.start_mark.index, f"- {entry}\n{' ' * listed.start_mark.column}")
    return bundle.with_files({ROOT: root})


def with_shadow_thresholds(
    bundle: PolicyBundle, tried: Mapping[str, Mapping[str, float | None] | None]
) -> PolicyBundle:
    """Puts thresholds in shadow, or takes them out.

    Args:
        bundle: a policy that compiles.
        tried: by name of the segment, of the general ones under `DEFAULT_SEGMENT`: review and decline, None being
            never; one that is not given stays as it is live. None takes what is there out of shadow.

    Raises:
        EditError: there is no such segment.
    """
    text = bundle.files[ROOT]
    root, document = _compose(ROOT, text), yaml.load(text, yaml.CSafeLoader)
    standing = {DEFAULT_SEGMENT: document["thresholds"]}
    standing |= {segment["name"]: segment for segment in document.get("segments") or ()}
    shadow = dict(document.get("shadow_thresholds") or {})
    for segment, limits in tried.items():
        if segment not in standing:
            raise EditError(f"the policy has no thresholds of {segment}")
        if limits is None:
            shadow.pop(segment, None)
        else:
            live = {name: standing[segment].get(name) for name in ("review", "decline")}
            shadow[segment] = {**live, **limits}
    parts = (
        f"{segment}: {{{', '.join(f'{name}: {_written(value)}' for name, value in limits.items())}}}"
        for segment, limits in shadow.items()
    )
    written = f"{{{', '.join(parts)}}}"
    old = _value(root, "shadow_thresholds")
    if old is not None:
        text = text[: old.start_mark.index] + written + text[_end(old) :]
    elif isinstance(root, yaml.MappingNode) and root.flow_style:
        text = _with_key(text, root, f"shadow_thresholds: {written}")
    else:
        text = text.rstrip("\n") + f"\n\nshadow_thresholds: {written}\n"
    return bundle.with_files({ROOT: text}) if shadow or old is not None else bundle


def _moved(bundle: PolicyBundle, entry: _Entry, state: RuleState) -> PolicyBundle:
    if state not in MOVES[entry.state]:
        allowed = " or ".join(MOVES[entry.state]) or "nothing else"
        raise EditError(f"{entry.rule_id} is {entry.state}; from there it may become {allowed}")
    text, node = bundle.files[entry.file], entry.node
    old = _value(node, "state")
    if old is not None:
        changed = text[: old.start_mark.index] + state + text[old.end_mark.index :]
    else:
        changed = _with_key(text, node, f"state: {state}")
    return bundle.with_files({entry.file: changed})


def with_rollout(bundle: PolicyBundle, rule_id: str, percent: float | None) -> PolicyBundle:
    """Changes the share of cards that a rule or velocity limit is about.

    Args:
        bundle: a policy that compiles.
        rule_id: of the rule.
        percent: above 0 and below 100; None is all cards.

    Raises:
        EditError: there is no such rule.
    """
    entry = _entry(bundle, rule_id)
    text, node = bundle.files[entry.file], entry.node
    old, written = _value(node, "rollout"), _written(percent)
    if old is not None:
        changed = text[: old.start_mark.index] + written + text[old.end_mark.index :]
    elif percent is None:
        return bundle
    else:
        changed = _with_key(text, node, f"rollout: {written}")
    return bundle.with_files({entry.file: changed})


def with_choice(
    bundle: PolicyBundle, live: Mapping[str, bool], thresholds: Mapping[str, Mapping[str, float | None]]
) -> PolicyBundle:
    """Puts a backtest's choice for a budget into a policy.

    Args:
        bundle: a policy that compiles.
        live: of rules, whether each is live; those that are not go to shadow.
        thresholds: review and decline of segments by name, of the rest under `DEFAULT_SEGMENT`; None is never.

    Raises:
        EditError: there is no such rule or segment, or a rule may not go there.
    """
    states = {entry.rule_id: entry.state for entry in _entries(bundle)}
    for rule_id, is_live in live.items():
        wanted = RuleState.LIVE if is_live else RuleState.SHADOW
        if states.get(rule_id) is not wanted:
            bundle = with_state(bundle, rule_id, wanted)
    text = bundle.files[ROOT]
    for segment, chosen in thresholds.items():
        for name, value in chosen.items():
            text = _with_threshold(text, segment, name, value)
    return bundle.with_files({ROOT: text})


def _with_threshold(text: str, segment: str, name: str, value: float | None) -> str:
    root = _compose(ROOT, text)
    node = _value(root, "thresholds")
    if segment != DEFAULT_SEGMENT:
        listed = _value(root, "segments")
        nodes = listed.value if isinstance(listed, yaml.SequenceNode) else []
        node = next((one for one in nodes if (found := _value(one, "name")) and found.value == segment), None)
    if not isinstance(node, yaml.MappingNode):
        raise EditError(f"the policy has no thresholds of {segment}")
    old, written = _value(node, name), _written(value)
    if old is not None:
        return text[: old.start_mark.index] + written + text[old.end_mark.index :]
    if value is None:
        return text
    return _with_key(text, node, f"{name}: {written}")


def with_draft(bundle: PolicyBundle, text: str) -> PolicyBundle:
    """Adds a draft, or puts a new text in place of one that was drafted here and is still a draft.

    Args:
        bundle: a policy that compiles.
        text: YAML of a rule file with one rule or velocity limit in the state draft.

    Raises:
        EditError: it is not one draft, or its id belongs to another rule.
    """
    draft = _draft(text)
    if draft.state is not RuleState.DRAFT:
        raise EditError("a draft has `state: draft`; it becomes shadow and live afterwards")
    name = f"{DRAFTS}/{draft.rule_id}.yaml"
    for entry in _entries(bundle):
        if entry.rule_id == draft.rule_id and (entry.file, entry.state) != (name, RuleState.DRAFT):
            raise EditError(f"{draft.rule_id} is a {entry.state} rule of {entry.file}; give the draft another id")
    root = bundle.files[ROOT]
    if name not in bundle.files:
        root = _naming(root, name)
    return bundle.with_files({ROOT: root, name: text})


def draft_id(text: str) -> str:
    """The id of the rule that a draft holds; EditError where it is not one rule."""
    return _draft(text).rule_id


def text_of(bundle: PolicyBundle, rule_id: str) -> str:
    """A rule as a rule file of its own, in its author's words.

    Raises:
        EditError: there is no such rule.
    """
    for entry in _entries(bundle):
        if entry.rule_id == rule_id:
            text, node = bundle.files[entry.file], entry.node
            lines = text[node.start_mark.index : node.end_mark.index].rstrip().split("\n")
            shift = 0 if node.flow_style else node.start_mark.column
            body = "\n".join([lines[0], *(f"    {line[shift:]}" if line.strip() else "" for line in lines[1:])])
            kind = "velocity" if _value(node, "feature") is not None else "rules"
            return f"{kind}:\n  - {body}\n"
    raise EditError(f"the policy has no rule {rule_id}")


def _draft(text: str) -> _Entry:
    drafted = list(_entries_of("draft", text))
    if len(drafted) != 1:
        raise EditError("a draft is one rule: `rules:` or `velocity:` with one entry")
    return drafted[0]


def _entry(bundle: PolicyBundle, rule_id: str) -> _Entry:
    found = next((entry for entry in _entries(bundle) if entry.rule_id == rule_id), None)
    if found is None:
        raise EditError(f"the policy has no rule {rule_id}")
    return found


def _entries(bundle: PolicyBundle) -> Iterator[_Entry]:
    for name, text in bundle.files.items():
        if name.endswith((".yaml", ".yml")):
            yield from _entries_of(name, text)


def _entries_of(file: str, text: str) -> Iterator[_Entry]:
    root = _compose(file, text)
    for kind in ("rules", "velocity"):
        listed = _value(root, kind)
        for node in listed.value if isinstance(listed, yaml.SequenceNode) else ():
            rule_id = _value(node, "id")
            if rule_id is not None and isinstance(rule_id.value, str):
                yield _Entry(file, rule_id.value, node)


def _compose(file: str, text: str) -> yaml.Node | None:
    """The nodes of a document, each with its place in the text."""
    try:
        check_shape(file, text)
        return yaml.compose(text, yaml.CSafeLoader)
    except DocumentError as error:
        raise EditError(error.problem) from None
    except yaml.YAMLError as error:
        raise EditError(f"not YAML: {' '.join(str(error).split())}") from None


def _value(node: yaml.Node | None, key: str) -> yaml.Node | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for name, value in node.value if name.value == key), None)


def _naming(root: str, file: str) -> str:
    """The policy's own file with one more entry of `rule_files`."""
    listed = _value(_compose(ROOT, root), "rule_files")
    if listed is None:
        return root.rstrip("\n") + f"\n\nrule_files:\n  - {file}\n"
    if not isinstance(listed, yaml.SequenceNode) or listed.flow_style or not listed.value:
        raise EditError("write `rule_files` of the policy as a list with a line for each file, then draft again")
    last = listed.value[-1]
    return _inserted(root, last.end_mark.index, f"\n{' ' * listed.start_mark.column}- {file}")


def _with_key(text: str, node: yaml.MappingNode, pair: str) -> str:
    """A mapping with one more pair in front, written as its others are."""
    if node.flow_style:
        return _inserted(text, node.start_mark.index + 1, f"{pair}, ")
    return _inserted(text, node.start_mark.index, f"{pair}\n{' ' * node.start_mark.column}")


def _written(value: float | None) -> str:
    return "null" if value is None else f"{Decimal(repr(float(value))):f}"  # YAML reads 1e-05 as text


def _end(node: yaml.Node) -> int:
    """Where a node's text ends; the mark of a block lies behind the comments that follow it."""
    if isinstance(node, yaml.MappingNode) and not node.flow_style and node.value:
        return _end(node.value[-1][1])
    return int(node.end_mark.index)


def _inserted(text: str, place: int, added: str) -> str:
    return text[:place] + added + text[place:]
