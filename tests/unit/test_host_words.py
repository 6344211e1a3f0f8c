"""A host is called by the digits of its id until its name is known: then by that, wherever a text has it."""

from __future__ import annotations

from kugetsu.domain import hosts
from kugetsu.domain.state import Host, empty
from kugetsu.model.host_words import by_id, named, short
from kugetsu.runtime.notifications.notice import located, notice_of

ONE = "1f" * 16


def test_the_name_takes_the_place_of_the_id_everywhere() -> None:
    text = f"a#1: 2 commits on {by_id(ONE)} that was lost; a#2: 1 commit on {by_id(ONE)} that was lost"
    assert named(text, ONE, "box") == text.replace("host 1f1f1f1f", "host box")
    assert named(text, "2f" * 16, "box") == text


def test_a_host_that_never_told_its_name_is_called_by_its_id() -> None:
    state = empty()
    assert hosts.name_of(state, ONE) == short(ONE)
    state.hosts[ONE] = Host(ONE, "box")
    assert (hosts.name_of(state, ONE), hosts.name_of(state, None)) == ("box", "")


def test_a_notification_names_the_host_at_each_session_that_it_had() -> None:
    state = empty()
    state.hosts[ONE] = Host(ONE, "box")
    left = [{"session": f"e.org/o/a#{number}", "worktree": "/w", "commits": 1, "rescue": None} for number in (1, 2)]
    data = {"host": ONE, "term": 1, "worktrees": left}
    event = {"seq": 1, "at": "2026-11-23T10:00:00.000000Z", "type": "host.returned", "v": 1, "data": data}
    notice = notice_of(event)
    assert notice is not None
    text = located(notice, state, {}).text
    assert text.count("on host box that was lost") == 2 and short(ONE) not in text
