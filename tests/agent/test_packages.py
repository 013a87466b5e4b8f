"""Application packages on a node: fetched, compared, in place whole or not at all, and tried again until they are."""

import asyncio
import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.agent.fetch.server import Server, serving
from tests.agent.test_unpack import tar, tree, zipped

from batchpools.agent.fetch.result import Fetched, FetchFailure
from batchpools.agent.fetch.sink import FileSink
from batchpools.agent.fetch.source import Source
from batchpools.agent.packages import in_place, install_package
from batchpools.agent.places import Places
from batchpools.core.node_config import PackageConfig
from batchpools.testing.virtual_time import VirtualClock, run_virtual


@pytest.fixture
def places(tmp_path: Path) -> Places:
    for folder in ("state", "applications", "sources/blender-4.2/..data"):
        tmp_path.joinpath(folder).mkdir(parents=True)
    return Places(
        journal_file=tmp_path / "state/journal",
        packages_dir=tmp_path / "applications",
        package_sources_dir=tmp_path / "sources",
    )


def package(version: str = "4.2", **more: object) -> PackageConfig:
    given = {"config_map": "blender-4.2", **more}
    return PackageConfig("blender", version, fingerprint=str(sorted(given.items())), **given)  # type: ignore[arg-type]


def held(places: Places, content: str = "1") -> Path:
    """The archive in its ConfigMap, as the kubelet mounts it."""
    folder = places.package_sources_dir / "blender-4.2"
    archive = folder / "..data/blender.zip"
    zipped(archive, ("tool", "bin/blender", content))
    if not folder.joinpath("blender.zip").is_symlink():
        folder.joinpath("blender.zip").symlink_to("..data/blender.zip")
    return archive


def made(places: Places) -> dict[str, object]:
    return tree(places.packages_dir)


async def test_an_archive_in_a_config_map_is_unpacked_and_not_looked_at_again(places: Places) -> None:
    archive = held(places)
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    one = package(sha256=digest)
    assert await install_package(places, one) == ""
    assert made(places) == {
        "blender/4.2/bin/blender": (b"1", "0o755"),
        "blender/.4.2.from": (
            one.fingerprint.encode(),
            oct(places.packages_dir.joinpath("blender/.4.2.from").stat().st_mode & 0o777),
        ),
    }
    archive.unlink()
    assert await install_package(places, one) == "", "an agent that begins anew does not need it"


async def test_another_archive_of_the_same_version_takes_its_place(places: Places) -> None:
    held(places, "old")
    await install_package(places, package())
    held(places, "new")
    assert await install_package(places, package()) == ""
    assert made(places)["blender/4.2/bin/blender"] == (b"old", "0o755"), "it is what the pod was made for"
    assert await install_package(places, package(format="Zip")) == ""
    assert made(places)["blender/4.2/bin/blender"] == (b"new", "0o755")


async def test_what_is_wrong_with_a_config_map_is_said(places: Places) -> None:
    begin = "Application package blender 4.2: "
    assert await install_package(places, package()) == f"{begin}ConfigMap blender-4.2 does not exist or is empty."
    nowhere = package(config_map="no-such")
    assert await install_package(places, nowhere) == f"{begin}ConfigMap no-such does not exist or is empty."
    held(places)
    sentence = await install_package(places, package(sha256="0" * 64))
    assert sentence.startswith(f"{begin}ConfigMap blender-4.2 has the SHA-256 ")
    assert sentence.endswith(f", not {'0' * 64}.")
    assert "cannot be read as TarGz" in await install_package(places, package(format="TarGz"))
    places.package_sources_dir.joinpath("blender-4.2/more").write_text("x")
    assert "holds 2 keys: it must be the archive alone" in await install_package(places, package())
    assert made(places) == {}, "nothing is there in part"


async def test_a_refused_archive_leaves_what_was_there_and_nothing_in_part(places: Places) -> None:
    held(places)
    await install_package(places, package())
    before = made(places)
    tar(places.package_sources_dir / "blender-4.2/..data/blender.zip", ("file", "a", b"1"), ("file", "../b", b"2"))
    sentence = await install_package(places, package(format="TarGz"))
    assert sentence == "Application package blender 4.2: the archive is refused: the entry '../b' leads out of it."
    assert made(places) == before


async def test_a_folder_without_its_note_was_not_finished(places: Places) -> None:
    held(places)
    half = places.packages_dir / "blender/4.2"
    half.mkdir(parents=True)
    half.joinpath("half").write_text("x")
    places.packages_dir.joinpath("blender/.4.2.part").mkdir()
    assert await install_package(places, package()) == ""
    assert "blender/4.2/half" not in made(places)


async def test_over_http_it_is_fetched_into_the_agents_own_volume_and_the_archive_goes(places: Places) -> None:
    archive = tar(places.journal_file.with_name("given"), ("file", "data", b"1"))
    body = archive.read_bytes()
    async with serving(Server()) as server:
        one = package(url=f"{server.url}/ok", config_map="", format="TarGz")
        assert "cannot be read as TarGz" in await install_package(places, one), "what the server has is no archive"
        missing = await install_package(places, package(url=f"{server.url}/status/404", config_map=""))
    assert missing.startswith("Application package blender 4.2: http://127.0.0.1:")
    assert "404" in missing

    async def fetch(source: Source, sink: FileSink) -> Fetched | FetchFailure:
        assert source == Source("https://files.example/b?sig=1", sha256="ab")
        await sink.begin()
        await sink.write(body)
        await sink.finish()
        return Fetched(len(body), "ab")

    one = package(url="https://files.example/b?sig=1", config_map="", format="TarGz", sha256="ab")
    assert await install_package(places, one, fetch) == ""
    assert made(places)["blender/4.2/data"] == (b"1", "0o644")
    assert {one.name for one in places.journal_file.parent.iterdir()} == {"given"}


async def test_when_nobody_waits_any_more_the_thread_stops_and_leaves_nothing(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def endless(archive: Path, kind: str, folder: Path, stopped: object) -> None:
        folder.mkdir(parents=True)
        loop.call_soon_threadsafe(begun.set)
        try:
            while not stopped():  # type: ignore[operator]
                pass
            raise OSError("stopped")
        finally:
            loop.call_soon_threadsafe(ended.set)

    monkeypatch.setattr("batchpools.agent.packages.unpack", endless)
    held(places)
    work = asyncio.create_task(install_package(places, package()))
    await begun.wait()
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    await ended.wait()
    await loop.run_in_executor(None, lambda: None)
    assert made(places) == {}


def test_it_is_tried_again_after_pauses_that_grow_until_all_are_there() -> None:
    said: list[tuple[float, str]] = []
    tries: list[str] = []

    async def install(_: Places, one: PackageConfig) -> str:
        tries.append(one.version)
        return f"{one.version} is missing." if one.version == "b" or len(tries) < 5 else ""

    async def story(clock: VirtualClock, packages: Sequence[PackageConfig]) -> None:
        begin = clock.monotonic()

        def tell(sentence: str) -> None:
            said.append((round(clock.monotonic() - begin), sentence))

        async with asyncio.timeout(2000):
            await in_place(Places(), packages, tell, install)

    run_virtual(lambda clock: story(clock, [package("a")]))
    assert [when for when, _ in said] == [0, 5, 15, 35]
    said.clear()
    with pytest.raises(TimeoutError):
        run_virtual(lambda clock: story(clock, [package("a"), package("b")]))
    assert {sentence for _, sentence in said} == {"b is missing."}
    assert said[-1][0] - said[-2][0] == 300
