"""What the tests of forges share: a scripted server, and a forge object of each kind that asks it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from forge.asking import QUICK, TOKEN, Asking
from forge.scripted import ScriptedForge
from kugetsu.forge.choice import forge_of
from kugetsu.forge.client import Limits
from kugetsu.forge.protocol import Forge


@pytest.fixture
def server() -> Iterator[ScriptedForge]:
    """A scripted forge that runs."""
    with ScriptedForge() as forge:
        yield forge


@pytest.fixture(params=["gitea", "github"])
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of forge."""
    return str(request.param)


@pytest.fixture
def asking(server: ScriptedForge) -> Iterator[Asking]:
    """Makes forge objects that ask the scripted one, `asking(kind, limits=…, token=…)`, and closes them."""
    made: list[Forge] = []

    def make(kind: str = "gitea", *, limits: Limits = QUICK, token: str = TOKEN) -> Forge:
        environment = {"GITEA_TOKEN": token, "GITHUB_TOKEN": token} if token else {}
        made.append(forge_of(server.host, {server.host: server.url}, {server.host: kind}, environment, limits=limits))
        return made[-1]

    yield make
    for forge in made:
        forge.close()


@pytest.fixture
def forge(asking: Asking, kind: str) -> Forge:
    """A forge object of each kind that asks the scripted server."""
    return asking(kind)
