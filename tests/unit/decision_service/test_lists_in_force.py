"""A running decision service decides by lists that change, without a restart and without reading the policy again."""

from __future__ import annotations

from pathlib import Path

import yaml

from adapters.policy.source import open_policy, policy_files
from cli.decide import Reload
from decision_service.access import Access
from fraud.decision.policy.document import ListKind
from fraud.decision.policy.living import Given
from fraud.decision.rules.fields import fields_of
from fraud.features import CATALOGUE
from fraud.settings import Aws
from operations.lists import Author, ListDesk
from tests.support.decision_services import Client, World
from tests.support.records import transaction, wire


def test_a_card_that_is_listed_is_declined_by_the_next_call(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(yaml.safe_dump({"thresholds": {}}))
    policies = open_policy(policy_files(str(file), Aws()), "EUR", fields_of(CATALOGUE))
    other = policy_files(str(file), Aws()).lists
    assert other is not None
    desk, author = ListDesk(other, lambda: policies.current), Author("ann", "stolen")
    world = World(tmp_path / "decide")

    async def work(client: Client) -> list[tuple[str, str]]:
        engine, access = client.service.engine, Access(world.folder / "keys.json", lambda: 0.0)
        reload = Reload(world.settings, engine, policies, access, lambda: world.scorer)
        answers = []
        for number in range(3):
            reload.look_at_lists()
            given = await client.decide(wire(transaction(transaction_id=f"t-{number}", card_token="tok-1")))
            answers.append((given.body["outcome"], given.body["policy_version"]))
            if number == 0:
                desk.add("stolen", [Given("tok-1")], author, ListKind.BLOCK, "card")
                file.write_text("{")
            if number == 1:
                desk.remove("stolen", ["tok-1"], author)
        return answers

    answers = world.run(work)
    assert [outcome for outcome, _ in answers] == ["approve", "decline", "approve"]
    files = answers[0][1]
    assert [version.partition("-")[0] for _, version in answers] == [files, f"{files}+1", f"{files}+2"]
