"""`kugetsu skill`: what there is, its text, and copies where opencode looks that never overwrite somebody's work."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import kugetsu as package
from kugetsu.cli import catalogue

NAMES = ["kugetsu-delegate", "kugetsu-pm", "kugetsu-research", "kugetsu-work"]
SHIPPED = Path(package.__file__).parent / "skills"


@pytest.fixture
def folder(kugetsu):
    """Where opencode looks when nothing says otherwise."""
    return kugetsu.folder / ".config" / "opencode" / "skills"


def _own(kugetsu, name, text):
    path = kugetsu.root / "skills" / name / "SKILL.md"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return path


def _here(kugetsu, text):
    return text.replace(str(kugetsu.folder), "/home/shoko").replace(str(SHIPPED), "/kugetsu/skills")


def test_list_says_what_each_is_for_and_where_it_is(kugetsu, folder, snapshot, fits):
    first = kugetsu("skill", "list")
    assert first.code == 0 and fits(first.out)
    kugetsu("skill", "install", "kugetsu-pm", "kugetsu-work")
    with (folder / "kugetsu-pm" / "SKILL.md").open("a") as file:
        file.write("more\n")
    _own(kugetsu, "ours", "---\nname: ours\ndescription: >\n  Two\n  lines.\n---\nText.\n")
    _own(kugetsu, "kugetsu-research", "nothing in front\n")
    (kugetsu.root / "workflow.md").write_text("Mind {issue}.\n")
    shown = kugetsu("skill", "list", COLUMNS="")
    snapshot("skill-list", _here(kugetsu, first.out + first.err + "\n" + shown.out + shown.err))


def test_list_as_json(kugetsu, folder):
    kugetsu("skill", "install", "kugetsu-work")
    shown = kugetsu("skill", "list", "--json").json
    assert [skill["name"] for skill in shown["skills"]] == NAMES
    assert shown["folder"] == str(folder) and shown["prompts"] == {"dev": None, "pm": None}
    work = shown["skills"][-1]
    assert work["installed"] == [{"path": str(folder / "kugetsu-work"), "state": "current"}]
    assert (work["source"], work["problem"]) == ("package", None)
    assert set(work) == {"name", "description", "source", "folder", "problem", "installed"}


def test_show_prints_the_raw_text(kugetsu):
    shown = kugetsu("skill", "show", "kugetsu-pm")
    assert shown.raw == (SHIPPED / "kugetsu-pm" / "SKILL.md").read_bytes()
    assert kugetsu("skill", "show", "kugetsu-pm", "--json").json["text"] == shown.out
    text = '---\nname: kugetsu-pm\ndescription: "Ours: short"\n---\nBe brief.\n'
    _own(kugetsu, "kugetsu-pm", text)
    own = kugetsu("skill", "show", "kugetsu-pm", "--json").json
    assert (own["text"], own["source"], own["description"]) == (text, "override", "Ours: short")


def test_show_as_json_has_the_same_text_of_every_skill(kugetsu):
    for name in sorted(path.name for path in SHIPPED.iterdir() if (path / "SKILL.md").is_file()):
        assert kugetsu("skill", "show", name, "--json").json["text"] == kugetsu("skill", "show", name).out, name


@pytest.mark.parametrize("name", ["nope", "../skills/kugetsu-pm", "", "kugetsu-pm/", "Kugetsu-PM", "."])
def test_a_skill_that_there_is_not_is_not_found(kugetsu, name):
    for verb in ("show", "install"):
        shown = kugetsu("skill", verb, name)
        assert shown.code == 4 and "hint: one of: kugetsu-delegate" in shown.err, shown


def test_install_copies_all_and_a_second_run_changes_nothing(kugetsu, folder):
    first = kugetsu("skill", "install")
    assert first.code == 0 and first.out.count("installed") == 4, first
    for name in NAMES:
        assert (folder / name / "SKILL.md").read_bytes() == (SHIPPED / name / "SKILL.md").read_bytes()
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    second = kugetsu("skill", "install")
    assert second.code == 0 and "nothing was changed" in second.out
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == times


def test_install_needs_no_init_and_makes_none(kugetsu):
    assert kugetsu("skill", "install").code == 0
    assert not kugetsu.root.exists()


def test_a_file_that_somebody_changed_is_kept_unless_forced(kugetsu, folder):
    kugetsu("skill", "install", "kugetsu-work")
    changed = folder / "kugetsu-work" / "SKILL.md"
    changed.write_text("mine\n")
    shown = kugetsu("skill", "install")
    assert shown.code == 5 and str(changed) in shown.err and "--force" in shown.err
    assert changed.read_text() == "mine\n"
    assert not (folder / "kugetsu-pm").exists(), "nothing is installed half"
    assert kugetsu("skill", "install", "--json").json["error"]["code"] == "conflict"
    forced = kugetsu("skill", "install", "--force", "--json").json
    assert {one["name"]: one["did"] for one in forced["skills"]}["kugetsu-work"] == "overwritten"
    assert changed.read_bytes() == (SHIPPED / "kugetsu-work" / "SKILL.md").read_bytes()


def test_a_file_that_was_there_before_is_somebodys(kugetsu, folder):
    (folder / "kugetsu-pm").mkdir(parents=True)
    (folder / "kugetsu-pm" / "SKILL.md").write_text("mine\n")
    assert kugetsu("skill", "install").code == 5
    (folder / ".kugetsu-skills.json").write_text("no json")
    assert kugetsu("skill", "install").code == 5
    assert (folder / "kugetsu-pm" / "SKILL.md").read_text() == "mine\n"


def test_what_kugetsu_installed_is_brought_up_to_date(kugetsu, folder):
    text = "---\nname: kugetsu-pm\ndescription: d\n---\nfirst\n"
    path = _own(kugetsu, "kugetsu-pm", text)
    (path.parent / "references").mkdir()
    (path.parent / "references" / "more.md").write_text("more\n")
    assert kugetsu("skill", "install", "kugetsu-pm", "--json").json["skills"][0]["did"] == "installed"
    assert (folder / "kugetsu-pm" / "references" / "more.md").read_text() == "more\n"
    (folder / "kugetsu-pm" / "notes.md").write_text("the user's\n")
    (path.parent / "references" / "more.md").unlink()
    path.write_text(text + "second\n")
    assert kugetsu("skill", "list", "--json").json["skills"][1]["installed"][0]["state"] == "outdated"
    assert kugetsu("skill", "install", "kugetsu-pm", "--json").json["skills"][0]["did"] == "updated"
    assert (folder / "kugetsu-pm" / "SKILL.md").read_text().endswith("second\n")
    assert not (folder / "kugetsu-pm" / "references" / "more.md").exists()
    assert (folder / "kugetsu-pm" / "notes.md").read_text() == "the user's\n"


def test_a_record_that_points_elsewhere_removes_nothing_there(kugetsu, folder):
    kugetsu("skill", "install", "kugetsu-pm")
    victim = kugetsu.folder / "victim"
    victim.write_text("x")
    import hashlib
    import json

    record = {"kugetsu-pm": {str(victim): hashlib.sha256(b"x").hexdigest(), "../../../../victim": "2d711642b726b04"}}
    (folder / ".kugetsu-skills.json").write_text(json.dumps(record))
    kugetsu("skill", "install", "--force")
    assert victim.exists()


def test_the_folder_follows_the_environment_and_to(kugetsu):
    xdg, own, to = kugetsu.folder / "xdg", kugetsu.folder / "oc", kugetsu.folder / "to"
    shown = kugetsu("skill", "install", "kugetsu-pm", "--json", XDG_CONFIG_HOME=str(xdg))
    assert shown.json["folder"] == str(xdg / "opencode" / "skills")
    shown = kugetsu("skill", "install", "kugetsu-pm", "--json", XDG_CONFIG_HOME=str(xdg), OPENCODE_CONFIG_DIR=str(own))
    assert shown.json["folder"] == str(own / "skills")
    both = kugetsu("skill", "list", "--json", XDG_CONFIG_HOME=str(xdg), OPENCODE_CONFIG_DIR=str(own)).json
    assert len(both["skills"][1]["installed"]) == 2
    assert kugetsu("skill", "install", "kugetsu-pm", "--to", str(to)).code == 0
    assert (to / "kugetsu-pm" / "SKILL.md").exists()


def test_a_link_to_a_file_stays_one(kugetsu, folder):
    kugetsu("skill", "install", "kugetsu-pm")
    file, kept = folder / "kugetsu-pm" / "SKILL.md", kugetsu.folder / "dotfiles.md"
    file.rename(kept)
    file.symlink_to(kept)
    kept.write_text("older\n")
    assert kugetsu("skill", "install", "--force").code == 0
    assert file.is_symlink() and kept.read_bytes() == (SHIPPED / "kugetsu-pm" / "SKILL.md").read_bytes()


def test_a_folder_that_cannot_be_written_names_the_remedy(kugetsu):
    (kugetsu.folder / "file").write_text("")
    shown = kugetsu("skill", "install", "--to", str(kugetsu.folder / "file"))
    assert shown.code == 1 and "hint: " in shown.err and "Traceback" not in shown.err, shown
    if os.geteuid() != 0:
        (kugetsu.folder / "shut").mkdir(mode=0o500)
        shown = kugetsu("skill", "install", "--to", str(kugetsu.folder / "shut"))
        assert shown.code == 1 and "--to FOLDER" in shown.err
    assert kugetsu("skill", "install", "--to", "").code == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"\xff\xfe", "UTF-8"),
        (b"no front matter", "must begin with ---"),
        (b"---\nname: kugetsu-pm\n---\nx", "description"),
        (b"---\nname: other\ndescription: d\n---\nx", "its folder's is"),
        (b"---\nname: No_Name\ndescription: d\n---\nx", "not a valid skill name"),
        (b"---\nname: kugetsu-pm\ndescription: " + b"d" * 1025 + b"\n---\nx", "1 to 1024"),
        (b"---\nname: kugetsu-pm\ndescription: d\n", "must begin with ---"),
    ],
)
def test_an_override_that_is_no_skill_is_refused_by_name_and_hides_no_other(kugetsu, text, words):
    path = _own(kugetsu, "kugetsu-pm", "")
    path.write_bytes(text)
    for verb in ("show", "install"):
        shown = kugetsu("skill", verb, "kugetsu-pm")
        assert shown.code == 3 and words in shown.err and str(path) in shown.err, shown
    listed = kugetsu("skill", "list", "--json").json["skills"]
    assert [skill["name"] for skill in listed if not skill["problem"]] == [n for n in NAMES if n != "kugetsu-pm"]


def test_one_that_is_no_skill_stops_none_of_the_others_and_its_hint_promises_no_other(kugetsu, folder):
    path = _own(kugetsu, "bad", "nothing in front\n")
    shown = kugetsu("skill", "show", "bad")
    assert shown.code == 3 and "hint: fix it, or move it away: kugetsu has none of that name" in shown.err
    shown = kugetsu("skill", "install")
    assert shown.code == 1 and f"skipped bad: {path}" in shown.err and "hint: " in shown.err, shown
    assert sorted(one.name for one in folder.iterdir() if one.is_dir()) == sorted(NAMES)
    shown = kugetsu("skill", "install", "--json")
    assert shown.code == 1 and [one["name"] for one in shown.json["left_out"]] == ["bad"]
    assert kugetsu("skill", "install", "bad").code == 3


def test_an_override_that_cannot_be_read_is_an_error_and_not_passed_over(kugetsu):
    (kugetsu.root / "skills" / "kugetsu-pm" / "SKILL.md").mkdir(parents=True)
    shown = kugetsu("skill", "show", "kugetsu-pm")
    assert shown.code == 1 and "cannot read" in shown.err and "hint: " in shown.err


@pytest.mark.parametrize("words", [("list", "x"), ("show",), ("show", "a", "b"), ("install", "--what"), ("what",), ()])
def test_bad_usage(kugetsu, words):
    shown = kugetsu("skill", *words)
    assert shown.code == 3 and "hint: " in shown.err


def test_names_are_completed():
    for verb in ("show", "install"):
        parser, _ = catalogue.load(f"skill {verb}")
        assert any("skill" in one.completes for one in parser.declared)
