"""What `kugetsu doctor` says of a shared log while others work with it, or while its database is away."""

from __future__ import annotations

import os

import pytest

from kugetsu.domain.decide import sessions
from kugetsu.log.shared import health, remedies
from kugetsu.model.errors import LogUnreachable
from kugetsu.runtime.doctor import shared_log
from kugetsu.runtime.doctor.context import Context
from runtime.stage import Stage, bare_stage, stage
from runtime.test_membership import first

__all__ = ["bare_stage", "first", "stage"]


def test_doctor_takes_what_was_appended_meanwhile_for_no_loss(first: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    examine = health.examine

    def slowly(url: str) -> health.Health:
        found = examine(url)
        first.ws.log.transact(lambda state: sessions.register(state, "git.test/work/other", {"url": "file:///srv"}))
        return found

    monkeypatch.setattr(health, "examine", slowly)
    found = {one.name: one for one in shared_log.check(Context(first.ws.paths, os.environ, "kugetsu doctor"))}
    assert (found["mirror"].level, found["mirror"].text) == ("ok", "this host's mirror is up to date")


def test_doctor_names_itself_to_nobody_who_asks_it(first: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(url: str) -> health.Health:
        raise LogUnreachable(url, remedies.USUAL)

    monkeypatch.setattr(health, "examine", refuse)
    found = {one.name: one for one in shared_log.check(Context(first.ws.paths, os.environ, "kugetsu doctor"))}
    assert found["reachable"].fix == "the server's own log may say more; commands that only read show the mirror here"
