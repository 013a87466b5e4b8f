"""The cluster to run on: which one is chosen, what it is made of, and what its parts are told."""

import hashlib
import json
import tarfile
from pathlib import Path

import pytest
from e2e.cluster import archive, choose, components, pins, prerequisites
from e2e.cluster.layout import Layout
from e2e.cluster.local import LocalCluster
from e2e.cluster.others import CurrentCluster, KindCluster


def program(folder: Path, name: str, code: int) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\nexit {code}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("named", "docker", "kind", "expected"),
    [
        ("current", 0, True, CurrentCluster),
        ("kind", None, False, KindCluster),
        ("local", 0, True, LocalCluster),
        ("", 0, True, KindCluster),
        ("", 1, True, LocalCluster),
        ("", 0, False, LocalCluster),
        ("", None, True, LocalCluster),
    ],
)
def test_the_cluster_is_what_is_named_else_kind_else_local(
    named: str, docker: int | None, kind: bool, expected: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if docker is not None:
        program(tmp_path, "docker", docker)
    if kind:
        program(tmp_path, "kind", 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CLUSTER", named)
    assert isinstance(choose.choose(), expected)


def test_the_number_of_the_local_cluster_is_given_or_told_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLUSTER", "local")
    monkeypatch.delenv("CLUSTER_NUMBER", raising=False)
    numbers = []
    for told, given in (("", None), ("3", None), ("3", 4)):
        monkeypatch.setenv("CLUSTER_NUMBER", told)
        chosen = choose.choose(given)
        assert isinstance(chosen, LocalCluster)
        numbers.append(chosen.at.number)
    assert numbers == [0, 3, 4]


def test_a_name_that_means_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLUSTER", "moon")
    with pytest.raises(ValueError, match="none of current, kind, local"):
        choose.choose()


def test_another_pin_is_another_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    before = pins.pins_hash()
    monkeypatch.setattr(pins, "RUNC", "0.0.1")
    assert pins.pins_hash() != before


@pytest.mark.parametrize(
    ("text", "version"), [("go version go1.26.8 linux/amd64", (1, 26)), ("go version go1.19.8", (1, 19)), ("", (0,))]
)
def test_the_version_of_go_is_read(text: str, version: tuple[int, ...]) -> None:
    assert prerequisites.parse_go_version(text) == version


def test_without_root_a_sentence_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(prerequisites.MissingError, match="CLUSTER=current"):
        prerequisites.check_machine()


def test_two_clusters_share_nothing() -> None:
    first, second = Layout(0), Layout(1)
    for field in ("net", "address", "services", "veth", "cgroup", "run", "images"):
        assert getattr(first, field) != getattr(second, field)
    assert len(str(first.socket)) < 100, "a socket's path has at most 107 bytes"


def test_the_components_are_told_where_the_others_are() -> None:
    at = Layout(3)
    lines = components.command_lines(at, Path("/programs"))
    assert f"--bind-address={at.address}" in lines["apiserver"]
    assert "--anonymous-auth=false" in lines["apiserver"]
    assert any(word.startswith("--requestheader-client-ca-file") for word in lines["apiserver"])
    assert lines["kubelet"][0] == "/programs/kubelet"


def test_an_archive_holds_its_layers_under_their_digests(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("hello")
    layer = tmp_path / "layer.tar"
    with tarfile.open(layer, "w") as tar:
        tar.add(tmp_path / "file", "file")
    image = archive.pack("localhost/x:1", [layer], {"User": "1"}, tmp_path / "out.tar")
    with tarfile.open(image.archive) as tar:
        names = tar.getnames()
        (manifest,) = json.load(tar.extractfile("manifest.json") or pytest.fail("no manifest"))
        config = (tar.extractfile(manifest["Config"]) or pytest.fail("no config")).read()
    digest = hashlib.sha256(layer.read_bytes()).hexdigest()
    assert manifest["RepoTags"] == ["localhost/x:1"]
    assert manifest["Layers"] == [f"{digest}.tar"]
    assert f"{digest}.tar" in names
    assert json.loads(config)["rootfs"]["diff_ids"] == [f"sha256:{digest}"]
    assert manifest["Config"] == hashlib.sha256(config).hexdigest() + ".json"
