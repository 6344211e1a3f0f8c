"""`kugetsu skill`: list, show, install."""

from __future__ import annotations

import os
import sys
from typing import Any

from kugetsu.cli.call import Call, Command
from kugetsu.cli.parser import Parser
from kugetsu.model.errors import BadInput, KugetsuError
from kugetsu.runtime import installed_skills, skills
from kugetsu.views.text import cut, line

WORDS = {
    "current": "up to date",
    "outdated": "differs (kugetsu skill install updates it)",
    "changed": "differs (changed by hand)",
}


def _list_arguments(parser: Parser) -> None:
    parser.json()


def _list(call: Call) -> int:
    paths = call.workspace.paths
    folders = _folders(call)
    entries = [_entry(call, name, folders) for name in skills.names(paths)]
    prompts = {kind: skills.prompt_file(paths, kind) for kind in ("dev", "pm")}
    data = {"skills": entries, "folder": folders[0], "prompts": prompts}
    call.show(data, [] if call.json else _lines(call, entries, prompts))
    if not call.json and not any(entry["installed"] for entry in entries):
        call.note("next: kugetsu skill install copies them to where opencode looks")
    return 0


def _folders(call: Call) -> list[str]:
    from kugetsu.agents.opencode.environment import skill_folders

    return skill_folders(call.environment)


def _entry(call: Call, name: str, folders: list[str]) -> dict[str, Any]:
    """One skill of `list`; one that cannot be read hides none of the others."""
    entry: dict[str, Any] = {"name": name, "description": "", "source": None, "folder": None, "problem": None}
    entry["installed"] = []
    try:
        skill = skills.find(call.workspace.paths, name)
        entry |= {"description": skill.description, "source": skill.source, "folder": skill.folder}
        for folder in folders:
            state = installed_skills.state(skill, folder)
            if state is not None:
                entry["installed"].append({"path": os.path.join(folder, name), "state": state})
    except KugetsuError as problem:
        entry["problem"] = problem.message
    return entry


def _lines(call: Call, entries: list[dict[str, Any]], prompts: dict[str, str | None]) -> list[str]:
    screen = call.screen
    lines = []
    for entry in entries:
        lines.append(f"{screen.bold(entry['name'])}  {entry['source'] or 'unusable'}")
        if entry["problem"]:
            lines.append(cut(f"  {line(entry['problem'])}", screen.cuts_at))
        else:
            lines.append(cut(f"  {line(entry['description'])}", screen.cuts_at))
        for copy in entry["installed"]:
            lines.append(cut(f"  {WORDS[copy['state']]}: {line(copy['path'])}", screen.cuts_at))
    for kind, path in prompts.items():
        if path is not None:
            whom = "agents that work on issues" if kind == "dev" else "the PM agent"
            lines.append(f"{line(path)} is the prompt of {whom}")
    return lines


def _show_arguments(parser: Parser) -> None:
    parser.json()
    parser.add_argument("name", metavar="NAME", completes="skill", help="the skill's name")


def _show(call: Call) -> int:
    skill = skills.find(call.workspace.paths, call.args.name)
    if call.json:
        call.show(
            {
                "name": skill.name,
                "description": skill.description,
                "source": skill.source,
                "folder": skill.folder,
                "text": skill.text,
            },
            [],
        )
    else:
        sys.stdout.write(skill.text)
    return 0


def _install_arguments(parser: Parser) -> None:
    parser.json()
    parser.add_argument("names", metavar="NAME", nargs="*", completes="skill", help="which skills (default: all)")
    parser.add_argument("--to", metavar="FOLDER", completes="folder", help="the folder that gets NAME/SKILL.md")
    parser.add_argument("--force", action="store_true", help="overwrite files that were changed by hand")


def _install(call: Call) -> int:
    if call.args.to is not None and not call.args.to.strip():
        raise BadInput("--to needs a folder", "kugetsu skill install --to FOLDER")
    paths = call.workspace.paths
    wanted, left_out = [], []
    for name in dict.fromkeys(call.args.names) or skills.names(paths):
        try:
            wanted.append(skills.find(paths, name))
        except KugetsuError as problem:
            if call.args.names:
                raise
            left_out.append((name, problem))
    folder = os.path.abspath(os.path.expanduser(call.args.to)) if call.args.to else _folders(call)[0]
    done = installed_skills.install(wanted, folder, force=call.args.force)
    data = {
        "folder": folder,
        "skills": [{"name": one.name, "path": one.path, "did": one.did} for one in done],
        "left_out": [{"name": name, "problem": problem.message} for name, problem in left_out],
    }
    new = [one for one in done if one.did != "unchanged"]
    lines = [f"{one.did:<11}  {line(one.path)}" for one in new]
    call.show(data, lines or [f"up to date in {line(folder)}: nothing was changed"])
    if new and not call.json and call.args.to is None:
        call.note("opencode finds them at its next start")
    for name, why in [] if call.json else left_out:
        call.note(f"skipped {name}: {line(why.message)}", f"hint: {why.hint}")
    return 1 if left_out else 0


COMMANDS = {
    "skill list": Command(
        "[--json]",
        "Files in KUGETSU_DIR replace those that come with kugetsu: skills/NAME/SKILL.md replaces a skill,\n"
        "workflow.md the prompt for work on issues (kugetsu-work), pm-agent.md the prompt of the PM agent\n"
        "(kugetsu-pm). Start from the output of kugetsu skill show NAME.",
        _list_arguments,
        _list,
        json="""\
skills[].name  its name
skills[].description  what it is for
skills[].source  package, override (a file in KUGETSU_DIR replaces the package's) or own; null if it is unusable
skills[].folder  where it is
skills[].problem  why it is unusable, or null
skills[].installed[].path  a folder with a copy, where opencode looks
skills[].installed[].state  current, outdated (install updates it) or changed (by hand)
folder  where skill install copies them
prompts.dev  the file that replaces kugetsu-work as a prompt, or null
prompts.pm  the file that replaces kugetsu-pm as a prompt, or null""",
        examples="kugetsu skill list",
    ),
    "skill show": Command(
        "NAME [--json]",
        "",
        _show_arguments,
        _show,
        json="""\
name  its name
description  what it is for
source  package, override or own
folder  where it is
text  its SKILL.md""",
        examples="kugetsu skill show kugetsu-work",
    ),
    "skill install": Command(
        "[NAME…] [--to FOLDER] [--force] [--json]",
        "They are copied to where opencode looks: OPENCODE_CONFIG_DIR/skills, else skills in opencode's configuration\n"
        "folder (XDG_CONFIG_HOME/opencode, ~/.config/opencode). Files that were changed by hand are not overwritten\n"
        "without --force: exit 5. Without NAME, an unusable skill in KUGETSU_DIR is skipped: exit 1.",
        _install_arguments,
        _install,
        json="""\
folder  the folder that they were copied to
skills[].name  its name
skills[].path  its folder
skills[].did  installed, updated, overwritten (a change by hand, with --force) or unchanged
left_out[].name  a skill that is unusable
left_out[].problem  why""",
        examples="kugetsu skill install\n"
        "kugetsu skill install kugetsu-delegate --to ~/.claude/skills  # for another agent",
    ),
}
