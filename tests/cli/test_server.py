"""`kugetsu server`."""

from __future__ import annotations

import pytest

from runtime.servers import authority

__all__ = ["authority"]


def _token(kugetsu, text):
    path = kugetsu.root / "env" / "default.env"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)


def test_servers_are_listed_with_their_kind_token_and_the_default(kugetsu, story, snapshot, fits):
    (kugetsu.root / "config").write_text(
        "GIT_SERVERS='git.example.com=https://git.example.com home=http://192.168.1.5:3000 srv=/srv/git'\n"
        "FORGE_KINDS=git.example.com=forgejo\n"
    )
    _token(kugetsu, "GITHUB_TOKEN=ghp_abcdefghijklmnop1234\n")
    shown = kugetsu("server", "list")
    assert shown.code == 0 and fits(shown.out)
    snapshot("server-list", shown.out)
    assert kugetsu("server").out == shown.out
    data = kugetsu("server", "list", "--json").json
    assert [(row["name"], row["kind"], row["token"], row["default"]) for row in data["servers"]] == [
        ("github.com", "github", True, True),
        ("git.example.com", "forgejo", False, False),
        ("home", "gitea", False, False),
        ("srv", None, False, False),
    ]
    assert (data["servers"][0]["variable"], data["servers"][0]["file"]) == ("GITHUB_TOKEN", "default.env")
    assert data["servers"][2]["host"] == "192.168.1.5:3000"
    assert "ghp_abcdefghijklmnop1234" not in shown.out + kugetsu("server", "list", "--json").out


def test_a_token_that_cannot_be_used_is_said_and_hides_no_server(kugetsu, story):
    _token(kugetsu, "GITEA_TOKEN=tok-abcdefgh1234\n")
    (kugetsu.root / "env" / "default.env").chmod(0o644)
    kugetsu("server", "add", "git.example.com", "https://git.example.com")
    shown = kugetsu("server", "list")
    assert shown.code == 0 and "others can read it" in shown.err and "https://git.example.com" in shown.out


def test_a_server_is_added_once_and_the_file_keeps_its_comments(kugetsu, story):
    (kugetsu.root / "config").write_text("# mine\nMAX_ATTEMPTS=2  # two\n# GIT_SERVERS=\n# the end\n")
    assert kugetsu("server", "add", "Git.Example.com", "https://git.example.com/").code == 0
    again = kugetsu("server", "add", "git.example.com", "https://git.example.com", "--json")
    assert again.json == {
        "name": "git.example.com",
        "url": "https://git.example.com",
        "old": "https://git.example.com",
        "ca": None,
        "seq": None,
    }
    assert (kugetsu.root / "config").read_text() == (
        "# mine\nMAX_ATTEMPTS=2  # two\n# GIT_SERVERS=\n"
        "GIT_SERVERS=git.example.com=https://git.example.com\n# the end\n"
    )
    assert [event["data"]["key"] for event in story.log.read() if event["type"] == "setting.changed"] == ["GIT_SERVERS"]


def test_the_authority_of_a_server_is_checked_kept_and_goes_with_it(kugetsu, story, authority):
    name, url = "git.example.com", "https://git.example.com"
    for bad in ("nothing.pem", str(kugetsu.root), "/etc/hostname"):
        refused = kugetsu("server", "add", name, url, "--ca", bad)
        assert refused.code == 3 and "cannot be used" in refused.err, refused
    assert kugetsu("server", "get", name, "--json").json["named"] is False
    added = kugetsu("server", "add", name, url, "--ca", str(authority.pem), "--json")
    assert added.code == 0 and added.json["ca"] == str(authority.pem)
    assert kugetsu("server", "get", name, "--json").json["ca"] == str(authority.pem)
    assert kugetsu("config", "get", "GIT_SERVER_CA").out.strip() == f"{name}={authority.pem}"
    assert kugetsu("server", "add", name, url, "--ca", "", "--json").json["ca"] is None
    kugetsu("server", "add", name, url, "--ca", str(authority.pem))
    assert kugetsu("server", "remove", name).code == 0
    assert kugetsu("config", "get", "GIT_SERVER_CA").out.strip() == ""


def test_another_url_for_a_name_is_refused_unless_forced(kugetsu, story):
    kugetsu("server", "add", "home", "http://192.168.1.5:3000")
    refused = kugetsu("server", "add", "home", "http://192.168.1.6:3000")
    assert refused.code == 5 and "server add --force home" in refused.err
    assert kugetsu("server", "add", "home", "http://192.168.1.6:3000", "--force").code == 0
    assert kugetsu("server", "get", "home").out == "http://192.168.1.6:3000\n"


def test_an_array_of_the_bash_tool_is_read_and_added_to(kugetsu, story):
    (kugetsu.root / "config").write_text('declare -A GIT_SERVERS\nGIT_SERVERS["work"]="https://git.work.example"\n')
    assert kugetsu("server", "add", "home", "http://192.168.1.5:3000").code == 0
    names = [row["name"] for row in kugetsu("server", "list", "--json").json["servers"] if row["named"]]
    assert names == ["work", "home"]


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("a b", "https://x.example"),
        ("a=b", "https://x.example"),
        ("-x", "https://x.example"),
        ("ünï", "https://x.example"),
        ("x\x1b[2J", "https://x.example"),
        ("", "https://x.example"),
        ("x.example:", "https://x.example"),
        ("x.example:eighty", "https://x.example"),
        ("x", "x.example"),
        ("x", "https://"),
        ("x", "javascript:alert(1)"),
        ("x", "https://a,b"),
        ("x", "https://a b"),
        ("x", "https://user:hunter22@x.example"),
        ("x", "https://x.example:"),
        ("x", "http://x.example:/base"),
        ("x", "ssh://git@[fe80::1]:"),
        ("x", "https://x.example:0"),
        ("x", "https://x.example:99999"),
        ("x", "https://x.example:eighty"),
        ("x", ""),
    ],
)
def test_names_and_urls_that_cannot_be_are_refused_and_nothing_is_written(kugetsu, story, name, url):
    shown = kugetsu("server", "add", "--", name, url) if name[:1] == "-" else kugetsu("server", "add", name, url)
    assert shown.code == 3 and "hint: " in shown.err, shown
    assert "\x1b" not in shown.err and "hunter22" not in shown.err
    assert not (kugetsu.root / "config").exists()


def test_a_server_is_removed_but_not_the_default_one(kugetsu, story):
    for name in ("one.example", "two.example"):
        kugetsu("server", "add", name, f"https://{name}")
    assert kugetsu("server", "default", "one.example").code == 0
    refused = kugetsu("server", "remove", "one.example")
    assert refused.code == 5 and "kugetsu server default NAME" in refused.err
    assert kugetsu("server", "remove", "two.example").code == 0
    missing = kugetsu("server", "remove", "two.example")
    assert missing.code == 4 and "servers: one.example" in missing.err
    assert [row["name"] for row in kugetsu("server", "--json").json["servers"]] == ["one.example"]


def test_the_default_is_shown_and_set(kugetsu, story):
    assert kugetsu("server", "default").out == "github.com  https://github.com\n"
    assert kugetsu("server", "default", "nowhere").code == 4
    assert kugetsu("server", "default", "codeberg.org").code == 0
    assert kugetsu("server", "get").out == "https://codeberg.org\n"
    kugetsu("server", "add", "home", "http://192.168.1.5:3000")
    assert kugetsu("server", "default", "home", "--json").json["name"] == "home"
    assert kugetsu("server", "default").out == "home  http://192.168.1.5:3000\n"
    assert kugetsu("queue", "enqueue", "--anyway", "o/r#1", "x", "--json").json["issue"] == "192.168.1.5:3000/o/r#1"
    assert kugetsu("server", "default", "home", "--json").json["seq"] is None


def test_an_unknown_name_is_not_found_and_a_host_has_its_plain_url(kugetsu, story):
    assert kugetsu("server", "get", "nowhere").code == 4
    assert kugetsu("server", "get", "codeberg.org").out == "https://codeberg.org\n"


def test_what_the_environment_says_wins_and_is_not_written(kugetsu, story):
    shown = kugetsu("server", "add", "one.example", "https://one.example", GIT_SERVERS="x.example=https://x.example")
    assert shown.code == 0 and "the environment sets GIT_SERVERS too" in shown.err
    assert "x.example" not in (kugetsu.root / "config").read_text()
    assert "environment" in kugetsu("server", "list", GIT_SERVERS="x.example=https://x.example").err


def test_where_kugetsu_is_not_set_up_it_says_so(kugetsu):
    for words in (("list",), ("add", "x.example", "https://x.example"), ("remove", "x"), ("default", "x.example")):
        shown = kugetsu("server", *words)
        assert shown.code == 1 and "kugetsu init" in shown.err, words
    assert not kugetsu.root.exists()


def test_the_folders_of_this_machine_may_be_the_default_and_are_no_server(kugetsu, story):
    assert kugetsu("server", "default", "local").code == 0
    assert kugetsu("server", "default").out == "local  folders on this machine\n"
    assert kugetsu("server", "get", "local").out == "folders on this machine\n"
    row = kugetsu("server", "list", "--json").json["servers"][0]
    assert (row["name"], row["url"], row["kind"], row["problem"], row["default"]) == ("local", None, None, None, True)
    assert "https://local" not in kugetsu("server", "list").out
    assert kugetsu("queue", "enqueue", "--anyway", "src/proj#1", "x", "--json").json["issue"] == "local/src/proj#1"
    refused = kugetsu("server", "add", "local", "https://git.example.com")
    assert refused.code == 3 and "another name" in refused.err
