"""The options that give a task an agent, a model, attempts and hours of its own, before the settings."""

from __future__ import annotations

from kugetsu.model.errors import BadInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kugetsu.cli.declarations import Arguments
    from kugetsu.cli.parser import Parser

USAGE = "[--agent NAME] [--model MODEL] [--max-attempts N] [--timeout TIME]"
ABOUT = """\
--agent, --model, --max-attempts and --timeout are the task's own, before the settings, also when it is retried. Another
agent program than the one that made the issue's session begins a new conversation, in the same worktree and branch.
A model belongs to its agent: with another --agent the setting KUGETSU_MODEL does not apply."""

_HOURS = {"m": 1 / 60, "h": 1.0, "d": 24.0}


def declare(parser: Parser) -> None:
    """Declare them."""
    parser.add_argument("--agent", metavar="NAME", completes="agent", help="the agent program: opencode or command")
    parser.add_argument("--model", metavar="MODEL", help="the model, as provider/model")
    parser.add_argument("--max-attempts", type=int, metavar="N", help="attempts before it is an error")
    parser.add_argument("--timeout", metavar="TIME", help="how long an attempt may take: 90m, 2h, or a number of hours")


def given(args: Arguments) -> dict[str, Any]:
    """What was given (`events.tasks.Options`). Raises BadInput."""
    found: dict[str, Any] = {}
    if args.agent is not None:
        _require("KUGETSU_AGENT", "--agent", args.agent)
        found["agent"] = args.agent
    if args.model is not None:
        if not args.model.strip() or any(c.isspace() or c < " " or c == "\x7f" for c in args.model):
            raise BadInput(f"--model {args.model[:60]!r} is not the name of a model", "write it as provider/model")
        found["model"] = args.model
    if args.max_attempts is not None:
        if not 1 <= args.max_attempts <= 1000:
            raise BadInput(f"--max-attempts {args.max_attempts} is out of range", "a number from 1 to 1000")
        found["max_attempts"] = args.max_attempts
    if args.timeout is not None:
        found["timeout_hours"] = _hours(args.timeout)
    return found


def labels(words: list[str]) -> list[str]:
    """The labels that were given, as HOST_LABELS reads them; [] for none. Raises BadInput for an empty one."""
    from kugetsu.model.settings import SETTINGS

    found = str(SETTINGS["HOST_LABELS"].read(" ".join(words))).split()
    if words and not found:
        raise BadInput("--label without a label", "write one that a host has in HOST_LABELS: --label gpu")
    return found


def _require(key: str, option: str, text: str) -> None:
    from kugetsu.model.settings import SETTINGS

    try:
        SETTINGS[key].read(text)
    except ValueError as error:
        raise BadInput(f"{option} {text[:60]!r}: {error}", SETTINGS[key].help) from error


def _hours(text: str) -> float:
    unit = _HOURS.get(text[-1:])
    number = text[:-1] if unit is not None else text
    try:
        hours = float(number) * (unit or 1.0)
    except ValueError:
        hours = 0.0
    if not 0 < hours <= 10_000:
        raise BadInput(f"--timeout {text[:60]!r} is not a time", "write 90m, 2h, 1d, or a number of hours")
    return round(hours, 6)
