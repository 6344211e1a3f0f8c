"""KUGETSU_DIR: one folder, its owner's alone, and clear words when it cannot be used."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from kugetsu.host.paths import Paths
from kugetsu.model.errors import BadInput, KugetsuError


def mode_of(path: str) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def test_the_default_is_below_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Paths.of({}).root == f"{tmp_path}/.kugetsu"
    assert Paths.of({"KUGETSU_DIR": ""}).root == f"{tmp_path}/.kugetsu"


def test_a_relative_folder_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Paths.of({"KUGETSU_DIR": "k/../state"}).root == f"{tmp_path}/state"


def test_the_folder_is_made_for_its_owner_only(tmp_path: Path) -> None:
    paths = Paths.of({"KUGETSU_DIR": f"{tmp_path}/a/b"})
    assert not paths.exists()
    paths.ensure()
    paths.ensure()
    assert paths.exists()
    assert mode_of(paths.root) == 0o700
    assert os.path.isdir(paths.leases)


def test_a_folder_that_was_open_to_others_is_closed(tmp_path: Path) -> None:
    (tmp_path / "k").mkdir(mode=0o755)
    (tmp_path / "k" / "index.json").write_text("{}")
    Paths(f"{tmp_path}/k").ensure()
    assert mode_of(f"{tmp_path}/k") == 0o700
    assert (tmp_path / "k" / "index.json").exists()


def refusal(path: Path) -> KugetsuError:
    with pytest.raises(KugetsuError) as caught:
        Paths(str(path)).ensure()
    assert str(path) in caught.value.message
    assert caught.value.hint
    return caught.value


def test_a_file_in_its_place_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "k").write_text("mine")
    assert "in its place" in refusal(tmp_path / "k").message
    assert (tmp_path / "k").read_text() == "mine"


def test_a_file_above_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("mine")
    refusal(tmp_path / "f" / "k")


def test_a_loop_of_links_is_refused(tmp_path: Path) -> None:
    (tmp_path / "k").symlink_to(tmp_path / "k")
    assert "circle" in refusal(tmp_path / "k").message


def test_a_link_to_nowhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "k").symlink_to(tmp_path / "gone")
    refusal(tmp_path / "k")


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "k").mkdir(mode=0o500)
    assert "chmod" in (refusal(tmp_path / "k").hint or "")


@pytest.mark.parametrize("text", ["a\nb", "a\x00b", "/", "~nobody-of-that-name/x"])
def test_a_text_that_is_no_folder_is_refused(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if text.startswith("~"):
        # An unknown user's home stays as written, which is a folder of that name.
        assert Paths.of({"KUGETSU_DIR": text}).root == f"{tmp_path}/{text}"
    else:
        with pytest.raises(BadInput):
            Paths.of({"KUGETSU_DIR": text})
