"""Finds the turn that a chat request asks for, and keeps count of the faults that were already given.

The number of a turn is read off the request itself (the assistant messages since the user's last one), so that a server
that was started anew, or an agent that was killed and goes on, meets the right turn. Only faults need memory: one
count for each (session, user message, turn).
"""

from __future__ import annotations

import hashlib
import re
import threading
from typing import Any

from scripted_model import script

_MENTION = re.compile(r"(?<![\w/.-])((?:[\w.-]+/)*[\w.-]+\.md)\b")
_LIMIT_OF_NAME = 40

Json = dict[str, Any]


class Player:
    """Answers the question: what does the model do now?

    ``recipes`` are (pattern, script) pairs for messages that hold no script: the first whose regular expression is
    found in the message is played.
    """

    def __init__(self, recipes: list[tuple[str, str]] | None = None) -> None:
        self._recipes = [(re.compile(pattern, re.I), text) for pattern, text in recipes or []]
        self._given: dict[tuple[str, str, int, int], int] = {}
        self._lock = threading.Lock()

    def turn(self, session: str, request: Json) -> tuple[script.Turn, script.Fault | None]:
        """The turn that this request asks for, and the fault that is due instead of it (or None)."""
        messages = request.get("messages") or []
        if not request.get("tools"):
            # The agent's own side questions (a title, a summary) come without tools: they never move the script on.
            return script.Turn(texts=["Scripted work"]), None
        asked = max((n for n, message in enumerate(messages) if message.get("role") == "user"), default=-1)
        prompt = text_of(messages[asked]) if asked >= 0 else ""
        since = messages[asked + 1 :]
        number = sum(1 for message in since if message.get("role") == "assistant")
        turns = self._turns(prompt, since)
        turn = turns[number] if number < len(turns) else script.Turn(texts=["Done."])
        key = f"{asked}:{hashlib.sha256(prompt.encode()).hexdigest()}"
        return turn, self._fault(session, key, number, turn)

    def _turns(self, prompt: str, since: list[Json]) -> list[script.Turn]:
        source = script.blocks(prompt)
        if source is None:
            source = self._recipe(prompt)
        try:
            return _follow(script.parse(source), since)
        except script.ScriptError as error:
            return [script.Turn(texts=[f"I do not understand the script: {error}"])]

    def _recipe(self, prompt: str) -> str:
        """A script for a message that holds none."""
        for pattern, text in self._recipes:
            if (found := pattern.search(prompt)) is not None:
                return found.expand(text) if "\\" in text else text
        if (mention := _MENTION.search(prompt)) is not None:
            return f"say I read {mention[1]} first.\nfollow {mention[1]}\n"
        return _note(prompt)

    def _fault(self, session: str, key: str, number: int, turn: script.Turn) -> script.Fault | None:
        with self._lock:
            for place, fault in enumerate(turn.faults):
                where = (session, key, number, place)
                given = self._given.get(where, 0)
                if given < fault.times:
                    self._given[where] = given + 1
                    return fault
        return None


def _follow(turns: list[script.Turn], since: list[Json]) -> list[script.Turn]:
    """Puts the script that a `follow` step has shown in the place of what stands after it."""
    results = [text_of(message) for message in since if message.get("role") == "tool"]
    number = 0
    while number < len(turns):
        call = turns[number].call
        if call is not None and call.follows and number < len(results):
            found = script.blocks(results[number])
            if found is None:
                words = call.arguments["command"].removeprefix("cat ")
                found = f"say {words} holds no script for me: nothing to do."
            turns = turns[: number + 1] + script.parse(found)
        number += 1
    return turns


def _note(prompt: str) -> str:
    """Plain honest work for a message without any script: look around, write a note, commit it."""
    lines = [line.strip() for line in prompt.splitlines() if line.strip()] or ["an empty message"]
    name = re.sub(r"[^a-z0-9]+", "-", lines[0].lower()).strip("-")[:_LIMIT_OF_NAME].strip("-") or "note"
    path = f"notes/{name}.md"
    body = "\n".join(f"| {line}" for line in lines[:20])
    return (
        "say I look around first.\nrun git status --short && ls\n"
        f"say I write down what was asked.\nwrite {path}\n| # Asked\n|\n{body}\n"
        f"run git add {path} && git commit -m 'Note what was asked'\n"
        f"say I noted the request in {path} and committed it. I am a scripted model: I do no more than that.\n"
    )


def text_of(message: Json) -> str:
    """The text of a chat message, whose content is a string or a list of parts."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "\n".join(str(part.get("text", "")) for part in parts if isinstance(part, dict))
