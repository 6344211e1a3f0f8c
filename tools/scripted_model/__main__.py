"""Run the scripted model as a process: `python tools/scripted_model --port 0`."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from pathlib import Path

sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from kugetsu.host import atomic  # noqa: E402
from scripted_model.isolation import isolate  # noqa: E402 - found through the line above
from scripted_model.server import ScriptedModel  # noqa: E402


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT, or until its starter ends when that was asked for. Returns the exit code."""
    options = _parser().parse_args(arguments)
    recipes = _recipes(options.recipes) if options.recipes else []
    starter = os.getppid()
    with ScriptedModel(options.port, recipes) as server:
        stop = server.stopping
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        for home in options.home:
            environment = isolate(home, server.url)
            (Path(home) / "environment.json").write_text(json.dumps(environment, indent=2) + "\n")
        print(f"listening on {server.url}", flush=True)
        if options.port_file:
            atomic.write(options.port_file, f"{server.server_address[1]}\n".encode())
        if options.until_stdin_closes:
            threading.Thread(target=_wait_for_end_of_stdin, args=(stop,), daemon=True).start()
        while not stop.wait(0.5):
            if options.watch_parent and os.getppid() != starter:
                break
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tools/scripted_model", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 (the default) takes a free port")
    parser.add_argument("--port-file", help="a file to write the port into once it listens")
    parser.add_argument(
        "--home", action="append", default=[], help="write an isolated opencode home and its environment.json there"
    )
    parser.add_argument("--recipes", help='JSON for messages without a script: [{"match": regex, "script": text}, ...]')
    parser.add_argument("--watch-parent", action="store_true", help="end when the starting process has ended")
    parser.add_argument("--until-stdin-closes", action="store_true", help="end at the end of stdin")
    return parser


def _recipes(path: str) -> list[tuple[str, str]]:
    entries = json.loads(Path(path).read_text(encoding="utf-8"))
    return [(str(entry["match"]), str(entry["script"])) for entry in entries]


def _wait_for_end_of_stdin(stop: threading.Event) -> None:
    # Not sys.stdin: its buffer is locked while it is read, and Python would abort at its end.
    while os.read(0, 4096):
        pass
    stop.set()


if __name__ == "__main__":
    sys.exit(main())
