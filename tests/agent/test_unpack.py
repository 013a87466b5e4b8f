"""An archive is unpacked whole below its directory, or not at all: what it says of paths, links and rights is not believed."""

import gzip
import io
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchpools.agent import archive, unpack
from batchpools.agent.archive import ArchiveError
from batchpools.agent.unpack import StoppedError

Member = tuple[str, str, bytes | str]  # what it is, its name, its content or target


def member(kind: str, name: str, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = {
        "dir": tarfile.DIRTYPE, "link": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE, "pipe": tarfile.FIFOTYPE,
        "device": tarfile.CHRTYPE, "file": tarfile.REGTYPE, "tool": tarfile.REGTYPE,
    }[kind]  # fmt: skip
    info.mode = {"tool": 0o4755}.get(kind, 0o600)
    info.linkname = target
    info.uid = 4242
    return info


def tar(path: Path, *members: Member) -> Path:
    with tarfile.open(path, "w:gz") as made:
        for kind, name, content in members:
            info = member(kind, name, content if isinstance(content, str) else "")
            body = content if isinstance(content, bytes) else b""
            info.size = len(body)
            made.addfile(info, io.BytesIO(body))
    return path


def zipped(path: Path, *members: Member) -> Path:
    modes = {"dir": stat.S_IFDIR | 0o755, "link": stat.S_IFLNK | 0o777, "pipe": stat.S_IFIFO | 0o600}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for kind, name, content in members:
            info = zipfile.ZipInfo(f"{name}/" if kind == "dir" else name)
            info.create_system, info.compress_type = 3, zipfile.ZIP_DEFLATED
            rights = 0o4755 if kind == "tool" else 0o600
            info.external_attr = modes.get(kind, stat.S_IFREG | rights) << 16
            made.writestr(info, content)
    return path


def tree(folder: Path) -> dict[str, object]:
    """Every file below, by its path: its content and rights, or where its link leads."""
    found: dict[str, object] = {}
    for one in sorted(folder.rglob("*")):
        name = str(one.relative_to(folder))
        if one.is_symlink():
            found[name] = f"-> {one.readlink()}"
        elif one.is_file():
            found[name] = (one.read_bytes(), oct(one.stat().st_mode & 0o7777))
    return found


GOOD: tuple[Member, ...] = (
    ("dir", "bin", b""),
    ("tool", "bin/blender", b"#!/bin/sh\n"),
    ("file", "./lib//deep/data.txt", b"data"),
    ("link", "lib/current", "deep"),
    ("link", "top", "bin/../lib/deep/data.txt"),
)
MADE = {
    "bin/blender": (b"#!/bin/sh\n", "0o755"),
    "lib/deep/data.txt": (b"data", "0o644"),
    "lib/current": "-> deep",
    "top": "-> bin/../lib/deep/data.txt",
}
Make = Callable[..., Path]
BOTH = pytest.mark.parametrize(("make", "kind"), [(tar, "TarGz"), (zipped, "Zip")], ids=["TarGz", "Zip"])


@BOTH
def test_files_directories_and_links_are_made_with_plain_rights(tmp_path: Path, make: Make, kind: str) -> None:
    old = os.umask(0o077)
    try:
        unpack.unpack(make(tmp_path / "a", *GOOD), kind, tmp_path / "out")
    finally:
        os.umask(old)
    assert tree(tmp_path / "out") == MADE
    folders = [one for one in tmp_path.joinpath("out").rglob("*") if one.is_dir() and not one.is_symlink()]
    assert {oct(one.stat().st_mode & 0o777) for one in [tmp_path / "out", *folders]} == {"0o755"}
    assert {one.lstat().st_uid for one in folders} == {os.getuid()}, "the owner is whoever unpacks"


def test_what_a_zip_says_nothing_of_may_be_a_program(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a", "w") as made:
        info = zipfile.ZipInfo("tool.exe")
        info.create_system = 0
        made.writestr(info, "x")
    unpack.unpack(tmp_path / "a", "Zip", tmp_path / "out")
    assert tree(tmp_path / "out") == {"tool.exe": (b"x", "0o755")}


def test_a_hard_link_is_another_name_of_a_file_of_the_archive(tmp_path: Path) -> None:
    unpack.unpack(tar(tmp_path / "a", ("file", "a", b"1"), ("hard", "d/b", "a")), "TarGz", tmp_path / "out")
    assert tree(tmp_path / "out") == {"a": (b"1", "0o644"), "d/b": (b"1", "0o644")}


def test_a_name_that_comes_twice_is_the_last_one(tmp_path: Path) -> None:
    unpack.unpack(tar(tmp_path / "a", ("file", "a", b"1"), ("file", "a", b"2")), "TarGz", tmp_path / "out")
    assert tree(tmp_path / "out") == {"a": (b"2", "0o644")}


@BOTH
@pytest.mark.parametrize(
    ("members", "words"),
    [
        pytest.param([("file", "../x", b"1")], "leads out", id="upwards"),
        pytest.param([("file", "a/../../x", b"1")], "leads out", id="upwards, inside"),
        pytest.param([("file", "/x", b"1")], "leads out", id="absolute"),
        pytest.param([("dir", "../d", b"")], "leads out", id="a directory"),
        pytest.param([("link", "a", "/etc/passwd")], "leads out", id="an absolute link"),
        pytest.param([("link", "a", "..")], "leads out", id="a link upwards"),
        pytest.param([("link", "d/a", "../../x")], "leads out", id="a link out"),
        pytest.param(
            [("link", "d/up", ".."), ("link", "d/e/f", "../up/..")], "leads out", id="a link by way of another"
        ),
        pytest.param([("link", "a", "d"), ("dir", "d", b""), ("file", "a/x", b"1")], ".", id="a file through a link"),
        pytest.param([("file", "a", b"1"), ("file", "a/b", b"1")], "a file and a directory", id="a file as directory"),
        pytest.param([("pipe", "p", b"")], "neither a file", id="a pipe"),
        pytest.param([("file", "ok", b"1"), ("file", "x" * 300, b"1")], ".", id="a name that no file can have"),
    ],
)
def test_what_leads_out_or_is_no_file_is_refused(
    tmp_path: Path, make: Make, kind: str, members: list[Member], words: str
) -> None:
    outside = tmp_path / "x"
    with pytest.raises((ArchiveError, OSError), match=words):
        unpack.unpack(make(tmp_path / "a", *members), kind, tmp_path / "in/out")
    assert not outside.exists()
    assert [one.name for one in tmp_path.iterdir() if one.name not in {"a", "in"}] == []
    assert [one.name for one in tmp_path.joinpath("in").iterdir()] == ["out"]


def test_devices_and_hard_links_out_are_refused(tmp_path: Path) -> None:
    tmp_path.joinpath("secret").write_text("token")
    bad: list[Member] = [
        ("device", "d", b""),
        ("hard", "h", "../secret"),
        ("hard", "h", "/etc/passwd"),
        ("hard", "h", "no"),
    ]
    for number, one in enumerate(bad):
        with pytest.raises((ArchiveError, OSError)):
            unpack.unpack(tar(tmp_path / f"a{number}", one), "TarGz", tmp_path / f"out{number}")
        assert tree(tmp_path / f"out{number}") == {}


@pytest.mark.parametrize("kind", ["TarGz", "Zip"])
@pytest.mark.parametrize(
    "body",
    [b"", b"PK\x05\x06", b"no archive at all" * 100, gzip.compress(b"x" * 700, mtime=0)],
    ids=["nothing", "a cut end", "text", "gzip alone"],
)
def test_what_is_no_archive_is_said(tmp_path: Path, kind: str, body: bytes) -> None:
    tmp_path.joinpath("a").write_bytes(body)
    with pytest.raises(ArchiveError, match=f"cannot be read as {kind}"):
        unpack.unpack(tmp_path / "a", kind, tmp_path / "out")


@BOTH
def test_an_archive_that_is_cut_is_refused(tmp_path: Path, make: Make, kind: str) -> None:
    whole = make(tmp_path / "a", ("file", "a", os.urandom(100_000))).read_bytes()
    tmp_path.joinpath("a").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ArchiveError, match="cannot be read"):
        unpack.unpack(tmp_path / "a", kind, tmp_path / "out")


@BOTH
def test_entries_and_bytes_are_bounded_whatever_headers_say(
    tmp_path: Path, make: Make, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpack, "MAX_BYTES", 5 << 20)
    made = make(tmp_path / "a", ("file", "a", bytes(3 << 20)), ("file", "b", bytes(3 << 20)))
    assert made.stat().st_size < 100_000, "a bomb"
    with pytest.raises(ArchiveError, match="holds more than"):
        unpack.unpack(made, kind, tmp_path / "one")
    monkeypatch.setattr(unpack, "MAX_ENTRIES", 9)
    many = make(tmp_path / "b", *(("file", f"f{number}", b"") for number in range(10)))
    with pytest.raises(ArchiveError, match="more than 9 entries"):
        unpack.unpack(many, kind, tmp_path / "two")


def test_a_header_takes_no_memory_that_it_only_declares(tmp_path: Path) -> None:
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 1 << 40
    tmp_path.joinpath("a").write_bytes(gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(4096)))
    with pytest.raises(ArchiveError, match="larger than"):
        unpack.unpack(tmp_path / "a", "TarGz", tmp_path / "out")


def test_the_directory_of_a_zip_is_not_read_when_it_says_that_it_is_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "_MOST_DIRECTORY", 1000)
    made = zipped(tmp_path / "a", *(("file", f"f{number}", b"") for number in range(50)))
    with pytest.raises(ArchiveError, match="TarGz takes more"):
        unpack.unpack(made, "Zip", tmp_path / "out")


def test_it_stops_when_nobody_wants_it_any_more(tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        unpack.unpack(tar(tmp_path / "a", *GOOD), "TarGz", tmp_path / "out", lambda: True)


def test_many_files_of_a_tar_of_every_size_come_out_as_they_went_in(tmp_path: Path) -> None:
    """Sizes around a block and around what is read at once: the one byte that tarfile goes back."""
    sizes = [0, 1, 511, 512, 513, 1024, (256 << 10) - 1, 256 << 10, (1 << 20) + 512]
    bodies = {f"d/{'n' * 120}{size}": os.urandom(size) for size in sizes}
    made = tar(tmp_path / "a", *(("file", name, body) for name, body in bodies.items()))
    unpack.unpack(made, "TarGz", tmp_path / "out")
    assert {name: one[0] for name, one in tree(tmp_path / "out").items() if isinstance(one, tuple)} == bodies


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    members=st.lists(
        st.tuples(
            st.sampled_from(["dir", "file", "link", "hard"]),
            st.text("ab./", min_size=1, max_size=6),
            st.text("ab./", min_size=1, max_size=8),
        ),
        max_size=6,
    )
)
def test_whatever_an_archive_says_nothing_is_made_outside_and_no_link_leads_out(
    tmp_path_factory: pytest.TempPathFactory, members: list[tuple[str, str, str]]
) -> None:
    home = tmp_path_factory.mktemp("any")
    made = tar(home / "a", *members)
    place = home / "in" / "out"
    try:
        unpack.unpack(made, "TarGz", place)
    except (ArchiveError, OSError):
        pass
    else:
        within = place.resolve()
        assert all(one.resolve().is_relative_to(within) for one in place.rglob("*"))
    assert sorted(one.name for one in home.iterdir()) in (["a"], ["a", "in"])
    assert [one.name for one in home.joinpath("in").iterdir()] == ["out"] if home.joinpath("in").exists() else True
