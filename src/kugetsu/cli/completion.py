"""`kugetsu completion`: the script that a shell reads, so that TAB completes commands, options and real values."""

from __future__ import annotations

import os

from kugetsu.cli.call import Call, Command
from kugetsu.cli.parser import Parser
from kugetsu.model.errors import BadInput

SHELLS = ("bash", "zsh", "fish")
#: The scripts are package data.
FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "completion")


def _arguments(parser: Parser) -> None:
    parser.add_argument(
        "shell", nargs="?", metavar="SHELL", completes="shell", help="bash, zsh or fish (default: that of $SHELL)"
    )


def _completion(call: Call) -> int:
    shell = call.args.shell or os.path.basename(call.environment.get("SHELL", ""))
    if shell not in SHELLS:
        said = f"no completion for {shell[:40]!r}" if shell else "for which shell?"
        raise BadInput(f"kugetsu completion: {said}", "one of: " + ", ".join(f"kugetsu completion {s}" for s in SHELLS))
    with open(os.path.join(FOLDER, f"kugetsu.{shell}"), encoding="utf-8") as file:
        print(file.read(), end="")
    return 0


COMMANDS = {
    "completion": Command(
        "[bash|zsh|fish]",
        "One line enables it in every new shell:\n\n"
        "  bash  echo 'eval \"$(kugetsu completion bash)\"' >> ~/.bashrc\n"
        "  zsh   echo 'source <(kugetsu completion zsh)' >> ~/.zshrc\n"
        "  fish  kugetsu completion fish > ~/.config/fish/completions/kugetsu.fish\n\n"
        "TAB completes commands, options, tasks, issues, attempts, settings and their values. It runs kugetsu each\n"
        "time, which only reads, and stays silent if something is wrong.",
        _arguments,
        _completion,
        examples="kugetsu completion bash",
    )
}
