"""One parser for references: one issue has one text and one folder."""

from __future__ import annotations

import copy
import pickle
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kugetsu.model.errors import BadInput
from kugetsu.model.refs import FORMS, MAX_FOLDER, IssueRef, find_refs, folder_name, parse_ref, repository_of_url

SERVERS = {
    "git.example.com": "https://git.example.com/gitea",
    "home": "http://localhost:3000",
    "alias.net": "http://10.0.0.1:3000",
}
LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
HOST = st.one_of(
    st.builds("{}.{}".format, LABEL, LABEL),
    st.just("localhost"),
    st.just("local"),
    st.builds("{}:{}".format, LABEL, st.integers(1, 65535)),
    st.builds("[{}]".format, st.ip_addresses(v=6)),
    st.builds("[{}]:{}".format, st.ip_addresses(v=6), st.integers(1, 65535)),
)
NAME = st.from_regex(r"[A-Za-z0-9_.][A-Za-z0-9._-]{0,99}", fullmatch=True).filter(
    lambda name: name not in (".", "..") and not name.lower().endswith(".git")
)
LEVEL = NAME.filter(lambda name: name.lower() not in ("issues", "issue", "pulls", "pull"))
OWNER = st.one_of(
    NAME,
    st.builds("~{}".format, NAME),
    st.builds("{}/{}".format, NAME, LEVEL),
    st.lists(LEVEL, min_size=3, max_size=5).map("/".join),
)
REFS = st.builds(IssueRef, HOST, OWNER, NAME, st.integers(1, 10**18 - 1))


@given(REFS)
def test_the_canonical_text_reads_back(ref: IssueRef) -> None:
    assert parse_ref(str(ref)) == ref


@given(
    REFS,
    st.sampled_from(["issues", "pulls", "pull"]),
    st.sampled_from(["", "/", "?a=b#c", "#issuecomment-1", "/files"]),
)
def test_the_url_reads_as_the_canonical_text(ref: IssueRef, kind: str, tail: str) -> None:
    if ref.host.endswith((":80", ":443")):
        return  # a default port is dropped: tested apart
    assert parse_ref(f"https://{ref.host}/{ref.owner}/{ref.repo}/{kind}/{ref.number}{tail}") == ref


@pytest.mark.parametrize("text", ["github.com/r#1", "GitHub.com/r#1", "home/r#1"])
def test_a_server_is_not_taken_for_an_owner(text: str) -> None:
    with pytest.raises(BadInput, match="is a server: the owner or the repository is missing"):
        parse_ref(text, default_host="github.com", servers=SERVERS)


@given(REFS, st.sampled_from(["issues", "work_items"]), st.sampled_from(["", "/", "#note_7", "/designs"]))
def test_gitlabs_url_reads_as_the_canonical_text(ref: IssueRef, kind: str, tail: str) -> None:
    if ref.host.endswith((":80", ":443")):
        return
    assert parse_ref(f"https://{ref.host}/{ref.owner}/{ref.repo}/-/{kind}/{ref.number}{tail}") == ref


@given(REFS, st.sampled_from(["https://{}/{}/{}.git", "ssh://git@{}/{}/{}", "git://{}/{}/{}.git", "scp"]))
def test_a_remotes_url_and_the_issues_name_one_repository(ref: IssueRef, form: str) -> None:
    name = ref.host.rpartition(":")[0] if ":" in ref.host and not ref.host.endswith("]") else ref.host
    web = IssueRef(name, ref.owner, ref.repo, 1).repository
    if form == "scp":
        assert repository_of_url(f"git@{name}:{ref.owner}/{ref.repo}.git") == web
    elif form.startswith("ssh"):
        assert repository_of_url(form.format(ref.host, ref.owner, ref.repo)) == web
    elif not ref.host.endswith((":80", ":443", ":9418")):
        assert repository_of_url(form.format(ref.host, ref.owner, ref.repo)) == ref.repository


@given(REFS)
def test_case_and_leading_zeros_make_no_second_issue(ref: IssueRef) -> None:
    number = str(ref.number).zfill(min(18, len(str(ref.number)) + 2))
    assert parse_ref(f"{ref.host}/{ref.owner}/{ref.repo}".upper() + f"#{number}") == ref


@given(REFS, REFS)
@example(IssueRef("h.c", "a-b", "c", 1), IssueRef("h.c", "a", "b-c", 1))
@example(IssueRef("h.c", "a_b", "c", 1), IssueRef("h.c", "a", "b_c", 1))
@example(IssueRef("h.c", "a__b", "c", 1), IssueRef("h.c", "a_", "b_c", 1))
@example(IssueRef("h:1", "a", "c", 1), IssueRef("h_3a1", "a", "c", 1))
@example(IssueRef("h.c", "a/b", "c", 1), IssueRef("h.c", "a", "b_2fc", 1))
@example(IssueRef("h.c", "a/b", "c", 1), IssueRef("h.c", "a_2fb", "c", 1))
@example(IssueRef("h.c", "~a", "c", 1), IssueRef("h.c", "_7ea", "c", 1))
def test_two_issues_have_two_folders(one: IssueRef, other: IssueRef) -> None:
    assert (folder_name(one).lower() == folder_name(other).lower()) == (one == other)


LONG = st.builds(
    lambda tail: IssueRef("h.example", "o" * 100, "r" * 90 + tail, 7), st.from_regex("[a-c_]{10}", fullmatch=True)
)


@given(LONG, LONG)
def test_two_long_names_have_two_folders(one: IssueRef, other: IssueRef) -> None:
    assert (folder_name(one) == folder_name(other)) == (one == other)


@given(REFS | LONG)
def test_a_folder_name_is_one_short_portable_component(ref: IssueRef) -> None:
    name = folder_name(ref)
    assert re.fullmatch(r"[a-z0-9_][a-z0-9._+-]*[a-z0-9]", name)
    assert len(name.encode()) <= MAX_FOLDER


@given(st.text(max_size=60) | st.from_regex(r"[a-zA-Z0-9./#:_ -]{0,40}", fullmatch=True))
@example("../../etc#1")
@example("host/../x#1")
@example("a/b#1\n")
def test_any_text_gives_a_valid_reference_or_bad_input(text: str) -> None:
    try:
        ref = parse_ref(text, default_host="github.com", servers=SERVERS)
    except BadInput as error:
        assert error.hint is not None and FORMS in error.hint
        assert error.message.isprintable()
    else:
        assert parse_ref(str(ref)) == ref
        assert "/" not in folder_name(ref) and folder_name(ref) not in (".", "..")


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("github.com/Shoko/Kugetsu#014", "github.com/shoko/kugetsu#14"),
        ("shoko/kugetsu#14", "github.com/shoko/kugetsu#14"),
        ("  shoko/kugetsu#14\n", "github.com/shoko/kugetsu#14"),
        ("#3", "here.org/o/r#3"),
        ("3", "here.org/o/r#3"),
        ("https://github.com/a/b/pull/3/files", "github.com/a/b#3"),
        ("https://github.com:443/a/b/issues/3", "github.com/a/b#3"),
        ("https://me:secret@github.com/a/b/issues/3", "github.com/a/b#3"),
        ("https://github.com/a/b.git/issues/3", "github.com/a/b#3"),
        ("https://github.com/issues/issues/issues/3", "github.com/issues/issues#3"),
        ("https://git.example.com/gitea/a/b/issues/9", "git.example.com/a/b#9"),
        ("home/a/b#1", "localhost:3000/a/b#1"),
        ("http://localhost:3000/a/b/issues/1", "localhost:3000/a/b#1"),
        ("http://10.0.0.1:3000/a/b/pulls/4", "alias.net/a/b#4"),
        ("local/tmp/sample#1", "local/tmp/sample#1"),
        ("gitlab.com/Group/Sub/repo#3", "gitlab.com/group/sub/repo#3"),
        ("home/g/s/r#3", "localhost:3000/g/s/r#3"),
        ("https://gitlab.com/g/r/-/issues/3", "gitlab.com/g/r#3"),
        ("https://gitlab.com/g/s/r/-/work_items/3", "gitlab.com/g/s/r#3"),
        ("https://h.com/x/g/r/issues/3", "h.com/x/g/r#3"),
        ("git.sr.ht/~user/repo#3", "git.sr.ht/~user/repo#3"),
        ("[2001:DB8:0::1]:3000/a/b#3", "[2001:db8::1]:3000/a/b#3"),
        ("http://[::1]/a/b/issues/3", "[::1]/a/b#3"),
    ],
)
def test_every_accepted_form(text: str, canonical: str) -> None:
    ref = parse_ref(text, default_host="github.com", servers=SERVERS, here=lambda: ("here.org", "o", "r"))
    assert str(ref) == canonical


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("a/b", "no #number"),
        ("word", "does not name an issue"),
        ("a/b#0", "at least 1"),
        ("a/b#-1", "not an issue's number"),
        ("a/b#1x", "not an issue's number"),
        ("a/b#²", "not an issue's number"),
        ("a/b#" + "9" * 19, "over 18 digits"),
        ("-a/b#1", "cannot be the owner"),
        ("a/--upload-pack=x#1", "cannot be the repository"),
        ("../b#1", "cannot be the owner"),
        ("a/.git#1", "the repository is missing"),
        ("a//b#1", "owner is missing"),
        ("/a/b#1", "host is missing"),
        ("a b/c#1", "spaces or control"),
        ("a/b\x07#1", "spaces or control"),
        ("a/b\u2028c#1", "spaces or control"),
        ("h/g/s/r#3", "neither a host nor a name of GIT_SERVERS"),
        ("https://gitlab.com/g/r/-/merge_requests/3", "GitLab numbers merge requests separately"),
        ("https://gitlab.com/g/r/-/tree/3", "not that of an issue"),
        ("h.org/a/b.git/c#3", "cannot be within the owner"),
        ("h.org/" + "a/" * 21 + "b#3", "over 20 levels"),
        ("[::1]x/a/b#3", "not a port"),
        ("[fe80::1%eth0]/a/b#3", "not a host"),
        ("[1.2.3.4]/a/b#3", "not a host"),
        ("https://github.com/a/b", "not that of an issue"),
        ("ssh://h/a/b/issues/1", "only http"),
        ("a/" + "b" * 101 + "#1", "over 100"),
        ("h:99999/a/b#1", "not a port"),
        ("a/b#" + "1" * 5000, "too long"),
    ],
)
def test_what_is_no_reference_says_why(text: str, reason: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_ref(text, default_host="github.com")
    assert reason in caught.value.message
    assert len(caught.value.message) < 400
    assert caught.value.hint is not None and FORMS in caught.value.hint


def test_a_number_alone_needs_a_clone() -> None:
    with pytest.raises(BadInput, match="clone"):
        parse_ref("#4")
    with pytest.raises(BadInput, match="clone"):
        parse_ref("#4", here=lambda: None)


def test_a_short_reference_needs_a_default_server() -> None:
    with pytest.raises(BadInput, match="DEFAULT_GIT_SERVER"):
        parse_ref("a/b#4")


def test_the_clone_is_not_looked_for_when_the_reference_is_whole() -> None:
    def here() -> tuple[str, str, str]:
        raise AssertionError("asked")

    assert str(parse_ref("h.org/a/b#4", here=here)) == "h.org/a/b#4"


def test_a_reference_is_immutable_and_survives_copies() -> None:
    ref = IssueRef("h.org", "A", "b", 1)
    with pytest.raises(AttributeError):
        ref.number = 2
    assert copy.copy(ref) == ref == pickle.loads(pickle.dumps(ref))
    assert hash(ref) == hash(IssueRef("h.org", "a", "b", 1))


def test_references_in_a_text_come_in_the_known_order() -> None:
    text = (
        "Please (see h.org/q/r#9 and x/y#7), not 10/11 or #5: https://github.com/a/b/issues/5. "
        "Like https://github.com/a/b/pull/6; again x/y#7, and *z/w#8*."
    )
    found = [str(ref) for ref in find_refs(text, default_host="github.com")]
    assert found == ["github.com/a/b#5", "github.com/x/y#7", "github.com/z/w#8", "h.org/q/r#9", "github.com/a/b#6"]


def test_a_long_text_without_references_has_none() -> None:
    assert find_refs("a/" * 50_000 + "#" + "x" * 50_000) == []


@pytest.mark.parametrize(
    ("url", "repository"),
    [
        ("https://github.com/A/b.git", "github.com/a/b"),
        ("https://tok@github.com/a/b/", "github.com/a/b"),
        ("git@github.com:a/b.git", "github.com/a/b"),
        ("git@github.com:/a/b.git", "github.com/a/b"),
        ("ssh://git@host.org:2222/a/b", "host.org/a/b"),
        ("ssh://git@ssh.github.com:443/a/b.git", "github.com/a/b"),
        ("ssh://git@localhost:2222/a/b", "localhost:3000/a/b"),
        ("https://git.example.com/gitea/a/b", "git.example.com/a/b"),
        ("http://localhost:3000/a/b", "localhost:3000/a/b"),
        ("/srv/x/My Repo.git", "local/x/my-repo"),
        ("/srv/x/work/.git", "local/x/work"),
        ("file:///srv/g/o/r.git", "local/o/r"),
        ("../o.git", "local/w/o"),
        ("/ж/р", None),
        ("ext::sh -c x", None),
        ("https://gitlab.com/g/s/r.git", "gitlab.com/g/s/r"),
        ("git@gitlab.com:g/s/r.git", "gitlab.com/g/s/r"),
        ("ssh://git@altssh.gitlab.com:443/g/s/r.git", "gitlab.com/g/s/r"),
        ("ssh://me@gerrit.org:29418/platform/tools/x", "gerrit.org/platform/tools/x"),
        ("ssh://me@gerrit.org:29418/project", None),
        ("git@git.sr.ht:~user/repo", "git.sr.ht/~user/repo"),
        ("https://dev.azure.com/org/project/_git/repo", "dev.azure.com/org/project/_git/repo"),
        ("git@ssh.dev.azure.com:v3/org/project/repo", "dev.azure.com/org/project/_git/repo"),
        ("https://dev.azure.com/org/My%20Project/_git/repo", None),
        ("https://host.org/git/owner/repo", "host.org/git/owner/repo"),
        ("ssh://git@[2001:db8::1]:2222/a/b.git", "[2001:db8::1]/a/b"),
        ("git@[::1]:a/b.git", "[::1]/a/b"),
        ("[git@host.org:2222]:a/b.git", "host.org/a/b"),
        ("https://h.org/a/b.git/c", None),
        ("a/b:c/d", "local/b-c/d"),
        ("https://github.com/a", None),
        ("", None),
        ("/", None),
    ],
)
def test_a_remote_url_names_its_repository(url: str, repository: str | None) -> None:
    found = repository_of_url(url, servers=SERVERS, base="/w/clone")
    if url == "/ж/р":
        assert found is not None and parse_ref(found + "#1").repository == found
    else:
        assert found == repository


def test_an_alias_of_ssh_names_the_server_that_it_stands_for() -> None:
    names = {"github-work": "github.com"}
    for url in ("git@github-work:a/b.git", "github-work:a/b", "ssh://github-work/a/b"):
        assert repository_of_url(url, ssh_name=names.__getitem__) == "github.com/a/b"
    assert repository_of_url("https://github-work/a/b", ssh_name=names.__getitem__) == "github-work/a/b"


@given(st.text(max_size=40))
def test_any_url_gives_a_repository_that_references_can_name_or_none(url: str) -> None:
    found = repository_of_url(url, servers=SERVERS, base="/base/dir")
    assert found is None or parse_ref(found + "#1").repository == found
