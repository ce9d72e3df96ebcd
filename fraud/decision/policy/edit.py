"""Changes a policy in its text: what is not changed, comments included, stays as its authors wrote it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import NamedTuple

import yaml

from fraud.decision.policy.bundle import ROOT, PolicyBundle
from fraud.decision.policy.compiled import DEFAULT_SEGMENT
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
    rule_id: str
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
    entry = _entry(bundle, rule_id)
    if state not in MOVES[entry.state]:
        allowed = " or ".join(MOVES[entry.state]) or "nothing else"
        raise EditError(f"{rule_id} is {entry.state}; from there it may become {allowed}")
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
    old, written = _value(node, "rollout"), "null" if percent is None else f"{Decimal(repr(float(percent))):f}"
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
    old = _value(node, name)
    written = "null" if value is None else f"{Decimal(repr(float(value))):f}"  # YAML reads 1e-05 as text
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


def _inserted(text: str, place: int, added: str) -> str:
    return text[:place] + added + text[place:]
