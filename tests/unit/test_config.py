"""Settings: where each value comes from, and what becomes of a file that is not quite right."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kugetsu.host import config, config_file
from kugetsu.model.errors import BadInput, KugetsuError
from kugetsu.model.settings import SETTINGS
from profiles import examples


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config"


def load(file: Path, text: str = "", **environment: str) -> config.Config:
    if text:
        file.write_text(text)
    return config.load(str(file), environment)


def test_every_default_can_be_read(file: Path) -> None:
    found = load(file)
    for key in SETTINGS:
        found.value(key)
        assert found.source(key) == "default"
    assert found.integer("MAX_CONCURRENT_AGENTS") == 3
    assert found.text("KUGETSU_BRANCH_PATTERN") == "fix/issue-{number}"
    assert found.number("TASK_TIMEOUT_HOURS") == 1.0
    assert found.flag("WORKTREE_CHECK_PR_STATUS") is True
    assert found.servers() == {}
    assert found.default_host() == "github.com"


def test_the_environment_wins_over_the_file_and_the_file_over_the_default(file: Path) -> None:
    found = load(file, "\nMAX_ATTEMPTS=5\nMAX_CONCURRENT_AGENTS=4\n", MAX_CONCURRENT_AGENTS="9")
    assert (found.integer("MAX_CONCURRENT_AGENTS"), found.source("MAX_CONCURRENT_AGENTS")) == (9, "environment")
    assert (found.integer("MAX_ATTEMPTS"), found.source("MAX_ATTEMPTS")) == (5, f"{file}:2")


def test_an_empty_variable_counts_as_unset(file: Path) -> None:
    assert load(file, MAX_CONCURRENT_AGENTS="").integer("MAX_CONCURRENT_AGENTS") == 3


def test_the_last_line_of_a_key_counts(file: Path) -> None:
    assert load(file, "MAX_ATTEMPTS=5\nMAX_ATTEMPTS=6\n").integer("MAX_ATTEMPTS") == 6


OLD = """# kugetsu configuration
export MAX_CONCURRENT_AGENTS="${MAX_CONCURRENT_AGENTS:-7}"   # as it was

KUGETSU_MODEL='a "quoted" $(touch PWNED) model'
KUGETSU_AGENT_COMMAND="say \\"hi\\" \\$HOME `touch PWNED`" # talk
KUGETSU_TEMP_DIR="$HOME/out"\r
TASK_TIMEOUT_HOURS=0.5 # half
declare -A GIT_SERVERS
GIT_SERVERS["home"]="http://localhost:3000/"
declare -A GIT_SERVERS=( ["a.org"]="https://a.org" # first
  ["b.org"]='https://b.org/gitea'

  [c.org]=https://c.org)
DEFAULT_GIT_SERVER=home
"""


def test_what_the_bash_file_held_is_understood_and_nothing_is_executed(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    found = load(file, OLD)
    assert found.integer("MAX_CONCURRENT_AGENTS") == 7
    assert found.text("KUGETSU_MODEL") == 'a "quoted" $(touch PWNED) model'
    assert found.text("KUGETSU_AGENT_COMMAND") == 'say "hi" $HOME `touch PWNED`'
    assert found.text("KUGETSU_TEMP_DIR") == f"{tmp_path}/out"
    assert found.number("TASK_TIMEOUT_HOURS") == 0.5
    assert found.servers() == {
        "home": "http://localhost:3000",
        "a.org": "https://a.org",
        "b.org": "https://b.org/gitea",
        "c.org": "https://c.org",
    }
    assert found.default_host() == "localhost:3000"
    assert not (tmp_path / "PWNED").exists()


def test_servers_in_one_line(file: Path) -> None:
    found = load(file, GIT_SERVERS="a.org=https://a.org, home=http://localhost:3000/")
    assert found.servers() == {"a.org": "https://a.org", "home": "http://localhost:3000"}
    assert found.as_text("GIT_SERVERS") == "a.org=https://a.org home=http://localhost:3000"


def test_unknown_keys_are_reported_with_the_nearest_name(file: Path) -> None:
    warnings = load(file, "MAX_CONCURENT_AGENTS=2\nKUGETSU_DIR=/x\nGITEA_TOKEN=abc\nZZZ=1\n").warnings()
    assert warnings[0] == f"{file}:1: 'MAX_CONCURENT_AGENTS' is not a setting; did you mean MAX_CONCURRENT_AGENTS?"
    assert f"{file}:2" in warnings[1] and "environment" in warnings[1]
    assert f"{file}:3" in warnings[2] and "env/default.env" in warnings[2] and "abc" not in warnings[2]
    assert warnings[3] == f"{file}:4: 'ZZZ' is not a setting"


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("MAX_ATTEMPTS=3\nif true; then\n", 2, "is not KEY=VALUE"),
        ("rm -rf /\n", 1, "is not KEY=VALUE"),
        ("MAX_ATTEMPTS = 3\n", 1, "no spaces around"),
        ("=3\n", 1, "is not KEY=VALUE"),
        ("\n\nMAX_ATTEMPTS='3\n", 3, "does not end"),
        ("MAX_ATTEMPTS='3' 4\n", 1, "after the closing quote"),
        ("MAX_ATTEMPTS=three\n", 1, "not a whole number"),
        ("MAX_ATTEMPTS=1.5\n", 1, "not a whole number"),
        ("MAX_ATTEMPTS=-1\n", 1, "negative"),
        ("MAX_ATTEMPTS=\n", 1, "not a whole number"),
        ("MAX_CONCURRENT_AGENTS=0\n", 1, "at least 1"),
        ("MAX_CONCURRENT_AGENTS=99999999\n", 1, "at most"),
        ("MAX_CONCURRENT_AGENTS=٣\n", 1, "not a whole number"),
        ("TASK_TIMEOUT_HOURS=nan\n", 1, "not a number"),
        ("TASK_TIMEOUT_HOURS=1e9\n", 1, "not a number"),
        ("TASK_TIMEOUT_HOURS=0\n", 1, "more than 0"),
        ("KUGETSU_AGENT=claude\n", 1, "neither opencode nor command"),
        ("WORKTREE_CHECK_PR_STATUS=maybe\n", 1, "neither true nor false"),
        ("KUGETSU_BRANCH_PATTERN=fix\n", 1, "{number}"),
        ("KUGETSU_BRANCH_PATTERN=fix/{x}-{number}\n", 1, "no other braces"),
        ("KUGETSU_BASE_BRANCH=-x\n", 1, "does not accept it as a branch name"),
        ("KUGETSU_BASE_BRANCH=a..b\n", 1, "does not accept it as a branch name"),
        ("GIT_SERVERS=github\n", 1, "not name=URL"),
        ("GIT_SERVERS[x]=ftp://x\n", 1, "is not a URL"),
        ("A=1\nGIT_SERVERS=(\n[x]=y )\n", 3, "is not a URL"),
        ("A=1\nGIT_SERVERS=(\n", 2, "does not close"),
    ],
)
def test_a_bad_line_is_named_with_its_file_and_a_remedy(file: Path, text: str, line: int, reason: str) -> None:
    with pytest.raises(BadInput) as caught:
        load(file, text)
    assert caught.value.message.startswith(f"{file}:{line}: ")
    assert reason in caught.value.message
    assert caught.value.hint


def test_a_bad_variable_is_named(file: Path) -> None:
    with pytest.raises(BadInput, match="environment: MAX_ATTEMPTS='x'"):
        load(file, MAX_ATTEMPTS="x")


def test_a_file_that_is_no_text_is_refused(file: Path) -> None:
    file.write_bytes(b"A=1\n\xff\xfe=2\n")
    with pytest.raises(BadInput, match=":2: is not UTF-8"):
        load(file)
    file.write_bytes(b"#" * (config_file.MAX_BYTES + 1))
    with pytest.raises(BadInput, match="over"):
        load(file)
    file.unlink()
    file.mkdir()
    with pytest.raises(BadInput, match="cannot be read"):
        load(file)


def test_the_template_is_all_comments_and_knows_every_key(file: Path) -> None:
    assert config_file.write_template(str(file)) is True
    text = file.read_text()
    assert all(line.startswith("#") or not line for line in text.splitlines())
    assert all(f"# {key}=" in text for key in SETTINGS)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.write_text("mine")
    assert config_file.write_template(str(file)) is False
    assert file.read_text() == "mine"


def test_every_line_of_the_template_can_be_switched_on(file: Path) -> None:
    config_file.write_template(str(file))
    lines = file.read_text().splitlines()
    file.write_text("\n".join(line[2:] if line.startswith("# ") and line[2:].split("=")[0] in SETTINGS else line
                              for line in lines))  # fmt: skip
    found = load(file)
    assert all(found.source(key).startswith(str(file)) for key in SETTINGS)


def test_setting_a_value_keeps_comments_and_order(file: Path) -> None:
    file.write_text("# mine\nMAX_ATTEMPTS=2 # two\n\n# end\nKUGETSU_MODEL=a/b\n")
    config_file.set_value(str(file), "MAX_ATTEMPTS", "4")
    config_file.set_value(str(file), "KUGETSU_MODEL", 'it\'s "this" $one')
    config_file.set_value(str(file), "MIN_FREE_MEMORY_MB", "100")
    assert file.read_text().startswith("# mine\nMAX_ATTEMPTS=4\n\n# end\nKUGETSU_MODEL=")
    found = load(file)
    assert found.integer("MAX_ATTEMPTS") == 4
    assert found.text("KUGETSU_MODEL") == 'it\'s "this" $one'
    assert found.integer("MIN_FREE_MEMORY_MB") == 100


def test_a_set_value_goes_below_its_comment_in_the_template(file: Path) -> None:
    config_file.write_template(str(file))
    config_file.set_value(str(file), "MAX_ATTEMPTS", "4")
    assert "# MAX_ATTEMPTS=3\nMAX_ATTEMPTS=4\n" in file.read_text()
    config_file.unset_value(str(file), "MAX_ATTEMPTS")
    assert "\nMAX_ATTEMPTS" not in file.read_text()
    assert load(file).integer("MAX_ATTEMPTS") == 3


def test_setting_the_servers_replaces_the_array(file: Path) -> None:
    file.write_text(OLD)
    config_file.set_value(str(file), "GIT_SERVERS", "z.org=https://z.org")
    assert load(file).servers() == {"z.org": "https://z.org"}
    assert "DEFAULT_GIT_SERVER=home" in file.read_text()
    assert "# kugetsu configuration" in file.read_text()


def test_a_broken_file_can_be_mended_by_setting(file: Path) -> None:
    file.write_text("# head\nMAX_ATTEMPTS=none\nfoo bar\n")
    config_file.set_value(str(file), "MAX_ATTEMPTS", "4")
    assert file.read_text() == "# head\nMAX_ATTEMPTS=4\nfoo bar\n"


def test_a_bad_value_is_refused_and_the_file_kept(file: Path) -> None:
    file.write_text("MAX_ATTEMPTS=2\n")
    for key, value in (("MAX_ATTEMPTS", "x"), ("KUGETSU_MODEL", "a\nMAX_ATTEMPTS=9"), ("NO_SUCH", "1")):
        with pytest.raises(BadInput):
            config_file.set_value(str(file), key, value)
    assert file.read_text() == "MAX_ATTEMPTS=2\n"


def test_a_linked_file_stays_a_link_and_its_mode_stays(tmp_path: Path) -> None:
    real = tmp_path / "dotfiles"
    real.write_text("MAX_ATTEMPTS=2\n")
    real.chmod(0o640)
    link = tmp_path / "config"
    link.symlink_to(real)
    config_file.set_value(str(link), "MAX_ATTEMPTS", "3")
    assert link.is_symlink() and real.read_text() == "MAX_ATTEMPTS=3\n"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


def test_a_file_that_cannot_be_written_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(KugetsuError) as caught:
        config_file.set_value(str(tmp_path / "gone" / "config"), "MAX_ATTEMPTS", "3")
    assert caught.value.hint


def test_settings_set_at_once_by_many_are_all_there(file: Path) -> None:
    keys = ["MAX_ATTEMPTS", "MIN_FREE_MEMORY_MB", "MAX_CONCURRENT_AGENTS", "KILL_GRACE_SECONDS"]
    code = "import sys; from kugetsu.host.config_file import set_value; set_value(sys.argv[1], sys.argv[2], '8')"
    path = os.pathsep.join(sys.path)
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(file), key], env={**os.environ, "PYTHONPATH": path})
        for key in keys
    ]
    assert [process.wait() for process in started] == [0] * len(keys)
    found = load(file)
    assert [found.as_text(key) for key in keys] == ["8"] * len(keys)
    assert os.listdir(file.parent) == ["config"]


TEXTS = st.text(st.characters(min_codepoint=32, exclude_characters="\x7f", exclude_categories=["Cs", "Cc", "Zl", "Zp"]))


@settings(max_examples=examples(60))
@given(TEXTS)
def test_any_text_that_is_set_reads_back(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.mktemp("c") / "config"
    config_file.set_value(str(file), "KUGETSU_MODEL", text)
    assert load(file).text("KUGETSU_MODEL") == text.strip()


@pytest.mark.parametrize(
    "text", ["plain", "two words", "$HOME `id` \\", "it's $HOME", 'it\'s \\ "q" `id`', "#x", "~/x"]
)
def test_bash_reads_the_same_value(file: Path, text: str) -> None:
    config_file.set_value(str(file), "KUGETSU_MODEL", text)
    script = 'HOME=/h; . "$1"; printf %s "$KUGETSU_MODEL"'
    out = subprocess.run(["bash", "-c", script, "bash", str(file)], capture_output=True, text=True, check=True).stdout
    assert out == text.replace("~/", "/h/")


def test_reading_settings_imports_nothing_heavy() -> None:
    code = (
        "import sys; from kugetsu.host import config, paths; from kugetsu.model import refs, clock; print(*sys.modules)"
    )
    out = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={"PYTHONPATH": str(Path(config.__file__).parent.parent.parent)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert not {"pathlib", "subprocess", "typing", "re", "hashlib", "dataclasses", "difflib", "datetime"} & set(out)


SECTIONS = """\
MAX_ATTEMPTS=5
GIT_SERVERS[home]=http://localhost:3000

# that of the team
[Git.Example.com/Shoko/Kugetsu]   # read as references are
MAX_ATTEMPTS=2
export KUGETSU_BASE_BRANCH='main'
MIN_FREE_DISK_MB=7
NOT_A_SETTING=1

[home/a/b.git]
MAX_ATTEMPTS=1
[localhost:3000/a/b]
OPEN_PULL_REQUEST=never
"""


def test_a_section_holds_for_its_repository_alone(file: Path) -> None:
    found = load(file, SECTIONS)
    own = found.of("git.example.com/shoko/kugetsu")
    assert [c.integer("MAX_ATTEMPTS") for c in (found, own, found.of("x.org/a/b"))] == [5, 2, 5]
    assert own.source("MAX_ATTEMPTS") == f"{file}:6 [git.example.com/shoko/kugetsu]"
    assert own.source("GIT_SERVERS") == f"{file}:2" and own.source("KUGETSU_MODEL") == "default"
    assert found.of("git.example.com/shoko/kugetsu#14") is own
    assert found.of("x.org/a/b") is found and found.of(None) is found


def test_sections_of_one_repository_under_two_names_are_one(file: Path) -> None:
    found = load(file, SECTIONS)
    assert found.repositories == ("git.example.com/shoko/kugetsu", "localhost:3000/a/b")
    own = found.of("localhost:3000/a/b")
    assert (own.integer("MAX_ATTEMPTS"), own.text("OPEN_PULL_REQUEST")) == (1, "never")


def test_the_environment_wins_over_a_section(file: Path) -> None:
    own = load(file, SECTIONS, MAX_ATTEMPTS="9").of("git.example.com/shoko/kugetsu")
    assert (own.integer("MAX_ATTEMPTS"), own.source("MAX_ATTEMPTS")) == (9, "environment")
    assert own.text("KUGETSU_BASE_BRANCH") == "main"


def test_a_general_setting_in_a_section_has_no_effect_and_is_told(file: Path) -> None:
    found = load(file, SECTIONS)
    assert found.of("git.example.com/shoko/kugetsu").integer("MIN_FREE_DISK_MB") == 200
    general, unknown = found.warnings()
    assert general.startswith(f"{file}:8: MIN_FREE_DISK_MB") and "before the first section" in general
    assert unknown.startswith(f"{file}:9: 'NOT_A_SETTING' is not a setting")


def test_a_section_of_an_unknown_server_is_told(file: Path) -> None:
    (warning,) = load(file, "[hom/a/b]\nMAX_ATTEMPTS=1\n").warnings()
    assert "'hom'" in warning and "GIT_SERVERS" in warning


@pytest.mark.parametrize("header", ["[", "[]", "[a/b]", "[a.org/a/b", "[a.org/a/b] MAX_ATTEMPTS=2", "[a.org/../b]"])
def test_a_section_line_that_names_no_repository_is_refused_and_owns_what_is_below_it(file: Path, header: str) -> None:
    text = f"MAX_ATTEMPTS=5\n{header}\nMAX_ATTEMPTS=2\n"
    with pytest.raises(config_file.NonsenseLine) as caught:
        load(file, text)
    assert caught.value.message.startswith(f"{file}:2: ")
    assert "[git.example.com/owner/repo]" in str(caught.value.hint)
    found, problems = config.load_leniently(str(file), {})
    assert found.integer("MAX_ATTEMPTS") == 5 and len(problems) == 1 and problems[0].startswith("line 2 ")


def test_a_wrong_value_in_a_section_is_named_with_its_remedy(file: Path) -> None:
    with pytest.raises(BadInput) as caught:
        load(file, "[a.org/a/b]\nMAX_ATTEMPTS=none\n")
    assert caught.value.message.startswith(f"{file}:2: MAX_ATTEMPTS")
    assert "config set --repo a.org/a/b MAX_ATTEMPTS" in str(caught.value.hint)


def test_sections_are_of_the_file_config_only(file: Path) -> None:
    with pytest.raises(config_file.NonsenseLine):
        config_file.parse("[a.org/a/b]\nTOKEN=x\n", "default.env")


def test_setting_a_value_of_a_repository_keeps_all_else(file: Path) -> None:
    file.write_text(SECTIONS)
    names = ["localhost:3000/a/b", "home/a/b"]
    config_file.set_value(str(file), "MAX_ATTEMPTS", "7", names)
    config_file.set_value(str(file), "KUGETSU_MODEL", "m", names)
    config_file.set_value(str(file), "KUGETSU_MODEL", "x", ["x.org/a/b"])
    assert file.read_text() == (
        SECTIONS.replace("MAX_ATTEMPTS=1\n", "MAX_ATTEMPTS=7\n") + "KUGETSU_MODEL=m\n\n[x.org/a/b]\nKUGETSU_MODEL=x\n"
    )
    config_file.unset_value(str(file), "KUGETSU_MODEL", ["x.org/a/b"])
    config_file.unset_value(str(file), "KUGETSU_MODEL", names)
    assert file.read_text() == SECTIONS.replace("MAX_ATTEMPTS=1\n", "MAX_ATTEMPTS=7\n")


def test_a_general_value_never_goes_into_a_section(file: Path) -> None:
    file.write_text(SECTIONS)
    config_file.set_value(str(file), "MAX_ATTEMPTS", "6")
    config_file.set_value(str(file), "KUGETSU_MODEL", "m")
    assert file.read_text() == SECTIONS.replace("MAX_ATTEMPTS=5", "MAX_ATTEMPTS=6").replace(
        "3000\n\n#", "3000\nKUGETSU_MODEL=m\n\n#"
    )
    config_file.unset_value(str(file), "MAX_ATTEMPTS")
    assert load(file).integer("MAX_ATTEMPTS") == 3
    assert load(file).of("git.example.com/shoko/kugetsu").integer("MAX_ATTEMPTS") == 2


def test_a_general_value_goes_before_a_section_that_begins_the_file(file: Path) -> None:
    file.write_text("[a.org/a/b]\n# MAX_ATTEMPTS=3\nKUGETSU_MODEL=m\n")
    config_file.set_value(str(file), "MAX_ATTEMPTS", "6")
    assert file.read_text() == "MAX_ATTEMPTS=6\n\n[a.org/a/b]\n# MAX_ATTEMPTS=3\nKUGETSU_MODEL=m\n"
