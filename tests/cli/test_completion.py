"""Shell completion: what `__complete` answers, and what the real shells make of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli import shells
from kugetsu.cli import candidates, catalogue
from kugetsu.cli.catalogue import COMMANDS, groups
from kugetsu.cli.shell_words import Line, unquoted
from kugetsu.domain.decide import sessions
from kugetsu.model.settings import SETTINGS

SOURCE = Path(__file__).parents[2] / "src"


def ask(kugetsu, *words, **more):
    """The first line, and the candidates with their descriptions."""
    shown = kugetsu("__complete", "zsh", *words, **more)
    assert shown.code == 0 and shown.err == "", shown
    first, *rest = shown.out.splitlines()
    return first, dict(line.split("\t") for line in rest)


def words(kugetsu, *typed, **more):
    wanted, found = ask(kugetsu, *typed, **more)
    assert wanted == "words"
    return list(found)


@pytest.fixture
def busy(kugetsu, story):
    """q1 waits, q2 runs, q3 waits on another server; a base session and the PM's."""
    story.enqueue("mend the parser")
    story.enqueue("a page", issue="github.com/a/b#2")
    story.enqueue("third", issue="git.example.com/o/r#3")
    story.run("q2", alive=True)
    (kugetsu.root / "runs" / "q2.1").mkdir(parents=True)
    (kugetsu.root / "runs" / "q10.2").mkdir()
    return kugetsu


# --- commands and options ---------------------------------------------------------------------------------------


def test_every_command_and_group_is_offered_first_and_nothing_hidden(kugetsu):
    found = words(kugetsu, "")
    assert set(found) == {name.partition(" ")[0] for name in COMMANDS} | {"help"}
    assert len(found) == len(set(found)) and words(kugetsu, "__") == []
    assert words(kugetsu, "--v") == ["--version"]


@pytest.mark.parametrize("group", groups())
def test_every_verb_of_a_group_is_offered(kugetsu, group):
    assert {f"{group} {verb}" for verb in words(kugetsu, group, "")} == {
        c for c in COMMANDS if c.startswith(group + " ")
    }


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_every_command_is_offered_with_its_help(kugetsu, name):
    parser, _ = catalogue.load(name)
    _, found = ask(kugetsu, *name.split(), "--")
    longs = {long: one.rest["help"] for one in parser.declared if one.option for long in one.names if long[:2] == "--"}
    assert longs.items() <= found.items() and "--help" in found


def test_a_default_verb_has_its_options_and_short_ones_show_behind_one_dash(kugetsu):
    assert "--json" in words(kugetsu, "config", "-")
    assert {"-f", "--follow"} <= set(words(kugetsu, "history", "-"))


def test_an_option_that_was_given_is_not_offered_again_unless_it_may_be_repeated(kugetsu):
    assert "--wait" not in words(kugetsu, "start", "--wait", "--")
    assert "--after" in words(kugetsu, "queue", "enqueue", "--after", "q1", "--")


def test_nothing_is_offered_for_what_is_no_command(kugetsu):
    for typed in (("nonsense", ""), ("queue", "nonsense", ""), ("queue", "-x", "q")):
        assert words(kugetsu, *typed) == []
    assert kugetsu("__complete").code == 0 and kugetsu("__complete", "tcsh", "x").code == 0


# --- values -----------------------------------------------------------------------------------------------------


def test_tasks_are_offered_where_they_can_be_used_with_state_and_title(busy):
    _, found = ask(busy, "history", "q")
    assert found == {"q3": "pending  third", "q2": "running  a page", "q1": "pending  mend the parser"}
    assert words(busy, "queue", "dequeue", "") == ["q3", "q1"]
    assert words(busy, "queue", "cancel", "") == ["q3", "q2", "q1"]
    assert words(busy, "queue", "retry", "") == []
    assert words(busy, "why", "q2") == ["q2"]


def test_attempts_are_offered_behind_the_dot(busy):
    assert words(busy, "history", "q2.") == ["q2.1"]
    assert words(busy, "logs", "q10.") == ["q10.2"]
    assert words(busy, "logs", "")[:2] == ["q10.2", "q2.1"]


def test_issues_are_offered_short_on_the_default_server_and_whole_when_the_host_is_typed(busy):
    assert words(busy, "start", "") == ["git.example.com/o/r#3", "a/b#2", "shoko/kugetsu#14"]
    assert words(busy, "start", "github.com/a") == ["github.com/a/b#2"]
    assert words(busy, "why", "shoko/kugetsu#1") == ["shoko/kugetsu#14"]
    assert "o/r#3" in words(busy, "start", "o", DEFAULT_GIT_SERVER="git.example.com")


def test_a_number_alone_is_offered_inside_its_clone(busy):
    assert words(busy, "start", "#") == []
    for command in (["init", "-q"], ["remote", "add", "origin", "https://github.com/a/b.git"]):
        subprocess.run(["git", "-C", str(busy.work), *command], check=True)
    assert words(busy, "start", "#") == ["#2"]


def test_the_message_behind_a_reference_is_nobodys_business(busy):
    assert words(busy, "start", "a/b#2", "q") == []
    assert words(busy, "start", "--", "a/b") == ["a/b#2"]
    assert words(busy, "start", "--", "a/b#2", "--") == []


def test_values_of_options_come_in_both_forms_and_in_lists(busy):
    assert words(busy, "queue", "enqueue", "--after", "q") == ["q3", "q2", "q1"]
    assert words(busy, "queue", "enqueue", "--after=q3") == ["--after=q3"]
    assert words(busy, "queue", "enqueue", "--after=q1,q2") == ["--after=q1,q2"]
    assert words(busy, "queue", "list", "--state", "par") == ["parked"]
    assert words(busy, "queue", "list", "--json=") == []


def test_paths_are_left_to_the_shell(kugetsu):
    assert ask(kugetsu, "start", "--file", "")[0] == "files"
    assert ask(kugetsu, "start", "--file=x")[0] == "files"
    assert ask(kugetsu, "init", "--repo", "")[0] == "folders"
    assert ask(kugetsu, "config", "set", "KUGETSU_OPENCODE", "")[0] == "files"


def test_settings_and_their_values_are_offered(kugetsu):
    assert set(words(kugetsu, "config", "set", "")) == set(SETTINGS)
    assert words(kugetsu, "config", "set", "WORKTREE_CHECK_PR_STATUS", "") == ["true", "false"]
    assert words(kugetsu, "config", "set", "KUGETSU_AGENT", "o") == ["opencode"]
    assert words(kugetsu, "config", "set", "KUGETSU_MODEL", "", KUGETSU_MODEL="a/b") == ["a/b"]
    assert words(kugetsu, "config", "set", "NONSENSE", "") == []
    servers = {"GIT_SERVERS": "home=https://git.example.com"}
    assert "home" in words(kugetsu, "config", "set", "DEFAULT_GIT_SERVER", "", **servers)


def test_a_value_with_a_secret_in_it_is_not_offered(kugetsu):
    key = "KUGETSU_AGENT_COMMAND"
    assert words(kugetsu, "config", "set", key, "", **{key: "run it"}) == ["run it"]
    assert words(kugetsu, "config", "set", key, "", **{key: "run --token=ghp_" + "a1B2" * 8}) == []
    servers = {"GIT_SERVERS": "home=https://git.example.com"}
    assert ask(kugetsu, "config", "set", "DEFAULT_GIT_SERVER", "h", **servers)[1] == {"home": "https://git.example.com"}


@pytest.mark.parametrize("key", candidates.choices())
def test_choices_of_settings_are_taken_by_them(key):
    words = list(candidates.choices()[key])
    assert [SETTINGS[key].read(word) for word in words] == words


def test_skills_and_sinks_are_offered(kugetsu):
    assert "kugetsu-work" in words(kugetsu, "skill", "show", "")
    assert words(kugetsu, "notify", "test", "web") == ["webhook"]


def test_points_in_time_are_offered_and_are_understood(kugetsu):
    found = words(kugetsu, "replay", "--until", "")
    assert "@" in found and "10m ago" in found
    assert words(kugetsu, "replay", "--until", "10m", "") == ["ago"]
    from kugetsu.runtime.query import timespec

    for text in found:
        timespec.parse(text, "2026-11-23T10:00:00.000000Z")


def test_bases_are_offered_bare_or_with_their_prefix(kugetsu, story):
    story.do(lambda state: sessions.request(state, "base:github.com/a/b", "base", "github.com/a/b"))
    assert words(kugetsu, "destroy", "--base", "") == ["github.com/a/b"]
    assert words(kugetsu, "destroy", "--base", "base:") == ["base:github.com/a/b"]
    assert words(kugetsu, "history", "base:g") == ["base:github.com/a/b"]


def test_every_kind_that_is_declared_has_candidates_or_is_a_path():
    known = set(candidates.SOURCES) | {"file", "folder"}
    for name in COMMANDS:
        for one in catalogue.load(name)[0].declared:
            assert set(one.completes) <= known, f"{name}: {one.names}"


# --- it never disturbs ------------------------------------------------------------------------------------------


def test_nothing_is_written_and_nothing_made(kugetsu, story):
    story.enqueue()
    before = everything_below(kugetsu.root)
    for typed in (["kugetsu", "q"], ["why", ""], ["start", "#"], ["config", "set", "KUGETSU_MODEL", ""], ["logs", ""]):
        kugetsu("__complete", "zsh", *typed)
    assert everything_below(kugetsu.root) == before


def test_a_long_log_gets_no_checkpoint_from_it(kugetsu, story):
    from kugetsu.domain.decide import queue

    story.enqueue()
    for _ in range(600):
        story.do(lambda state: queue.cancel(state, "q1", "cancel"))
        story.do(lambda state: queue.retry(state, "q1"))
    for name in ("checkpoint", "index"):
        subprocess.run(["rm", "-rf", str(kugetsu.root / "log" / name)], check=True)
    before = everything_below(kugetsu.root)
    assert words(kugetsu, "why", "q") == ["q1"]
    assert everything_below(kugetsu.root) == before


def test_a_directory_that_is_not_there_stays_away(kugetsu):
    assert words(kugetsu, "why", "") == [] and "queue" in words(kugetsu, "")
    assert not kugetsu.root.exists()


def test_with_a_broken_log_or_config_what_is_static_is_completed(busy):
    (busy.root / "config").write_text("this is no setting\n")
    assert words(busy, "why", "q") == ["q3", "q2", "q1"]
    assert "MAX_ATTEMPTS" in words(busy, "config", "set", "MAX_")
    segment = next((busy.root / "log").glob("*.jsonl"))
    segment.write_bytes(b"nonsense\n" + segment.read_bytes())
    assert words(busy, "why", "q") == [] and "cancel" in words(busy, "queue", "c")
    assert words(busy, "why", "q", KUGETSU_DIR="a\nb") == []
    segment.unlink()
    segment.mkdir()
    assert words(busy, "why", "q") == []


def test_a_held_lock_does_not_keep_it_waiting(busy):
    import portalocker

    with open(busy.root / "log" / "lock", "a") as lock:
        portalocker.lock(lock, portalocker.LOCK_EX)
        assert words(busy, "why", "q2") == ["q2"]


@pytest.mark.parametrize("shell", ["zsh", "bash"])
def test_a_state_that_takes_too_long_is_left_out(busy, shell):
    slow = "import time\nfrom kugetsu.cli import candidates\ncandidates.Place.state = lambda place: time.sleep(60)\n"
    typed = {"zsh": ["queue", "list", ""], "bash": ["kugetsu queue list ", ""]}[shell]
    before = ask_with(busy, "", shell, *typed)
    assert ask_with(busy, slow, shell, *typed) == before  # needs no state
    typed = {"zsh": ["why", ""], "bash": ["kugetsu why ", ""]}[shell]
    assert "q1" in ask_with(busy, "from kugetsu.cli import candidates\ncandidates.PATIENCE = 60.0\n", shell, *typed)
    assert ask_with(busy, slow, shell, *typed) == "words\n"


@pytest.mark.parametrize("patience", [0.0, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32])
def test_whenever_patience_ends_the_answer_is_whole(busy, tmp_path, patience):
    """Also with nothing compiled yet, when it ends in the middle of an import."""
    told = ask_with(
        busy,
        f"from kugetsu.cli import candidates\ncandidates.PATIENCE = {patience}\n",
        "zsh",
        "why",
        "q",
        PYTHONPYCACHEPREFIX=str(tmp_path / "nothing-yet"),
    )
    first, *rest = told.splitlines()
    assert first == "words" and [line.partition("\t")[0] for line in rest] in ([], ["q3", "q2", "q1"])


def ask_with(kugetsu, first, *words, **more):
    """What completion prints after these lines of Python."""
    program = f"import sys\n{first}sys.argv[0] = 'kugetsu'\nfrom kugetsu.cli.main import main\nsys.exit(main())\n"
    done = subprocess.run(
        [sys.executable, "-c", program, "__complete", *words],
        env={**kugetsu.environment, **more},
        cwd=kugetsu.work,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_description_is_one_harmless_line_without_secrets(kugetsu, story):
    story.enqueue("evil \x1b[31mred\ttab\x07")
    token = "ghp_" + "a1B2" * 6
    story.enqueue(f"use {token} please", issue="github.com/a/b#2")
    story.enqueue("url https://me:hunter22@example.com/x", issue="github.com/a/b#3")
    story.enqueue("GITEA_TOKEN=12345678", issue="github.com/a/b#4")
    shown = kugetsu("__complete", "zsh", "why", "q")
    assert "\x1b" not in shown.out and "\x07" not in shown.out
    assert all(line.count("\t") == 1 for line in shown.out.splitlines()[1:])
    assert token not in shown.out and "hunter22" not in shown.out and "12345678" not in shown.out
    (kugetsu.root / "env").mkdir()
    (kugetsu.root / "env" / "default.env").write_text("SOME_KEY=plainwordsecret\n")
    (kugetsu.root / "env" / "default.env").chmod(0o600)
    story.enqueue("the plainwordsecret is out", issue="github.com/a/b#5")
    assert "plainwordsecret" not in kugetsu("__complete", "zsh", "why", "q").out
    # The log takes secrets out as well; one that came into it before that is not shown either.
    assert (
        token not in candidates.described(f"use {token}") and len(candidates.described("x" * 9000)) == candidates.WIDTH
    )


def test_it_imports_no_more_than_looking_does(busy):
    heavy = {"typing", "pathlib", "subprocess", "loguru", "portalocker", "transitions", "argparse", "re", "tempfile"}
    script = (
        "import sys, orjson; before = set(sys.modules)\n"
        "from kugetsu.cli import candidates\n"
        "from kugetsu.cli.main import main\n"
        "candidates.PATIENCE = 60.0\n"
        "main(['__complete', 'bash', 'kugetsu why q', 'q'])\n"
        "print(*sorted(set(sys.modules) - before), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=busy.environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["words", "q3", "q2", "q1"]
    assert not set(done.stderr.split()) & heavy


def everything_below(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    found = {}
    for place, _, names in os.walk(folder):
        for path in [Path(place), *(Path(place) / name for name in names)]:
            status = path.stat()
            found[str(path)] = (status.st_mtime_ns, status.st_mode, path.read_bytes() if path.is_file() else b"")
    return found


# --- the command ------------------------------------------------------------------------------------------------


def test_the_script_of_the_shell_in_use_is_printed(kugetsu):
    for shell in ("bash", "zsh", "fish"):
        shown = kugetsu("completion", shell)
        assert shown.code == 0 and f"kugetsu __complete {shell}" in shown.out
        assert kugetsu("completion", SHELL=f"/usr/bin/{shell}").out == shown.out


def test_an_unknown_shell_is_bad_usage_that_names_the_three(kugetsu):
    for shown in (
        kugetsu("completion", "tcsh"),
        kugetsu("completion", SHELL="/bin/dash"),
        kugetsu("completion", SHELL=""),
    ):
        assert shown.code == 3 and shown.out == ""
        assert all(f"kugetsu completion {shell}" in shown.err for shell in ("bash", "zsh", "fish"))


def test_help_shows_the_line_for_each_shells_file(kugetsu):
    shown = kugetsu("completion", "--help")
    assert all(name in shown.out for name in ("~/.bashrc", "~/.zshrc", "~/.config/fish/completions/kugetsu.fish"))


# --- bash -------------------------------------------------------------------------------------------------------

#: What bash gives a completion function, as tried with bash 5.2: the line, and what of it will be replaced.
BASH = [
    ("kugetsu why q2", "q2", ["q2"]),
    ("kugetsu queue enqueue --after=q2", "q2", ["q2"]),
    ("kugetsu queue enqueue --after=", "", ["q3", "q2", "q1"]),
    ("kugetsu queue enqueue --after=q1,q2", "q1,q2", ["q1,q2"]),
    ("kugetsu why 'shoko/kugetsu#1", "shoko/kugetsu#1", ["shoko/kugetsu#14"]),
    ('kugetsu why "shoko', "shoko", ["shoko/kugetsu#14"]),
    ("kugetsu why shoko/kugetsu\\#1", "shoko/kugetsu\\#1", ["shoko/kugetsu#14"]),
    ('kugetsu why "shoko"', '"shoko"', ["shoko/kugetsu#14"]),
    ("kugetsu replay --until 10m", "10m", ["10m\\ ago"]),
    ("kugetsu replay --until '10m", "10m", ["10m ago"]),
    ("kugetsu start a/b#2 'it''s", "it''s", []),
    ("kugetsu start a/b#2 \"half a message", "half a message", []),
    ("kugetsu start -- shoko", "shoko", ["shoko/kugetsu#14"]),
    ("kugetsu queue list --state=par", "par", ["parked"]),
    ("kugetsu queue list > /tmp/file --state par", "par", ["parked"]),
]  # fmt: skip


@pytest.mark.parametrize(("line", "replaced", "expected"), BASH)
def test_bash_gets_what_goes_into_the_line(busy, tmp_path, line, replaced, expected):
    assert bash_reply(busy, tmp_path, line, replaced) == expected


def bash_reply(kugetsu, tmp_path, line, replaced):
    """COMPREPLY of the real bash, its function called as bash calls it."""
    script = (
        'eval "$(kugetsu completion bash)"\n'
        'COMP_LINE=$1 COMP_POINT=${#1}; COMPREPLY=()\n_kugetsu kugetsu "$2" ""\n'
        'for word in "${COMPREPLY[@]}"; do printf "%s\\n" "$word"; done'
    )
    path = f"{shells.program(tmp_path, SOURCE)}:{kugetsu.environment['PATH']}"
    done = subprocess.run(
        ["bash", "--norc", "--noprofile", "-c", script, "-", line, replaced],
        env={**kugetsu.environment, "PATH": path},
        cwd=kugetsu.work,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_bash_words_are_read_as_bash_reads_them():
    def read(text):
        line = Line(text, None)
        return [*line.words, line.current]

    assert read('kugetsu a  \'b c\' "d\\"e" f\\ g ') == ["a", "b c", 'd"e', "f g", ""]
    assert read("k 'open quo") == ["open quo"]
    assert read("k a'b'\"c\"d") == ["abcd"]
    assert read("k > out x 2>&1 y <in") == ["x", "y", "in"]
    assert Line("k x > o", None).redirected and not Line("k x > o y", None).redirected
    assert read("k") == ["k"] and Line("", None).words == []
    assert read("k a\\") == ["a"]
    assert unquoted("'#1") == "#1" and unquoted("a\\ b") == "a b" and unquoted("") == ""


@pytest.mark.parametrize(
    "value", ["#14", "it's", 'say "x"', "a b", "$HOME", "`x`", "a;b|c", "~x", "back\\slash", "é#1"]
)
@pytest.mark.parametrize("quote", ["", "'", '"'])
def test_what_is_inserted_is_read_by_bash_as_the_value(value, quote):
    line = Line("kugetsu " + quote, "")
    text = quote + line.insertion(value) + quote
    done = subprocess.run(["bash", "-c", f"printf %s {text}"], capture_output=True, text=True, check=True)
    assert done.stdout == value


# --- at the terminal --------------------------------------------------------------------------------------------


@pytest.fixture(params=[pytest.param(shell, marks=shells.needs(shell)) for shell in ("bash", "zsh", "fish")])
def shell(request, busy, tmp_path):
    path = f"{shells.program(tmp_path, SOURCE)}:{busy.environment['PATH']}"
    for command in (["init", "-q"], ["remote", "add", "origin", "https://github.com/a/b.git"]):
        subprocess.run(["git", "-C", str(busy.work), *command], check=True)
    (busy.work / "my task.md").touch()
    (busy.work / "folder").mkdir()
    made = shells.Shell(request.param, tmp_path / "shell", {**busy.environment, "PATH": path}, busy.work)
    made.name = request.param
    yield made
    made.close()


def test_tab_completes_at_the_terminal(shell):
    for typed, expected in (
        ("kugetsu histo", "kugetsu history "),
        ("kugetsu queue enq", "kugetsu queue enqueue "),
        ("kugetsu start --wa", "kugetsu start --wait "),
        ("kugetsu why q2", "kugetsu why q2 "),
        ("kugetsu why shoko/", "kugetsu why shoko/kugetsu#14 "),
        ("kugetsu config set KUGETSU_AGENT op", "kugetsu config set KUGETSU_AGENT opencode "),
        ("kugetsu queue list --state par", "kugetsu queue list --state parked "),
        ("kugetsu queue enqueue --after q3", "kugetsu queue enqueue --after q3 "),
    ):
        # Some shells quote every #, some only the one that would begin a comment.
        assert shell.tab(typed).rstrip().replace("\\#", "#") == expected.rstrip(), typed


def test_equals_signs_quotes_and_hashes_are_right_at_the_terminal(shell):
    assert shell.tab("kugetsu queue enqueue --after=q3").rstrip() == "kugetsu queue enqueue --after=q3"
    assert shell.tab("kugetsu queue list --state=par").rstrip() == "kugetsu queue list --state=parked"
    assert shell.tab("kugetsu why 'shoko/ku").rstrip(" '") == "kugetsu why 'shoko/kugetsu#14"
    assert shell.tab('kugetsu why "shoko/ku').rstrip(' "') == 'kugetsu why "shoko/kugetsu#14'
    quoted = shell.tab("kugetsu why \\#").rstrip()
    assert quoted in ("kugetsu why \\#2", "kugetsu why '#2'"), quoted
    assert shell.tab("kugetsu start -- shoko/").rstrip().replace("\\#", "#") == "kugetsu start -- shoko/kugetsu#14"


def test_paths_are_completed_by_the_shell_at_the_terminal(shell):
    assert shell.tab("kugetsu start --file my").rstrip() == "kugetsu start --file my\\ task.md"
    assert shell.tab("kugetsu start --file=my").rstrip().replace("\\ ", " ") == "kugetsu start --file=my task.md"
    assert shell.tab("kugetsu init --repo fo").rstrip() == "kugetsu init --repo folder/"


def test_a_broken_directory_prints_nothing_into_the_prompt(shell, busy):
    segment = next((busy.root / "log").glob("*.jsonl"))
    segment.write_bytes(b"nonsense\n" + segment.read_bytes())
    assert shell.tab("kugetsu why q").rstrip() == "kugetsu why q"
    assert b"error" not in shell.shown and b"Traceback" not in shell.shown
    assert shell.tab("kugetsu queue enq").rstrip() == "kugetsu queue enqueue"


@shells.needs("fish")
def test_fish_shows_what_each_candidate_is(busy, tmp_path):
    path = f"{shells.program(tmp_path, SOURCE)}:{busy.environment['PATH']}"
    script = "kugetsu completion fish | source; complete -C 'kugetsu queue cancel '; complete -C 'kugetsu log v'"
    environment = {**busy.environment, "PATH": path}
    done = subprocess.run(["fish", "-N", "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "q3\tpending  third",
        "q2\trunning  a page",
        "q1\tpending  mend the parser",
        "verify\tcheck every line of the event log",
    ]


@shells.needs("zsh")
def test_zsh_lists_candidates_with_what_they_are(busy, tmp_path):
    path = f"{shells.program(tmp_path, SOURCE)}:{busy.environment['PATH']}"
    shell = shells.Shell("zsh", tmp_path / "shell", {**busy.environment, "PATH": path}, busy.work)
    try:
        assert shell.tab("kugetsu queue cancel q") == "kugetsu queue cancel q"
        assert b"mend the parser" in shell.shown and b"running  a page" in shell.shown
    finally:
        shell.close()
