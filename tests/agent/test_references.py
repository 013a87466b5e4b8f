"""What the agent reads of a pool's Secrets and ConfigMaps: values for environments, and whether certificates are there."""

from pathlib import Path

import pytest

from batchpools.agent.environment import resolve
from batchpools.agent.places import Places
from batchpools.agent.references import missing_certificates, read_references
from batchpools.core.node_config import EnvReference


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """As the kubelet mounts them: keys are links into a directory of its own."""
    for folder in ("certificates/corp-ca", "references/Secret/licence/..data", "references/ConfigMap/site"):
        tmp_path.joinpath(folder).mkdir(parents=True)
    secret = tmp_path / "references/Secret/licence"
    secret.joinpath("..data/key").write_text("s$(A)cret\n")
    secret.joinpath("key").symlink_to("..data/key")
    secret.joinpath("binary").write_bytes(b"\xff\xfe")
    secret.joinpath("zero").write_text("a\0b")
    tmp_path.joinpath("references/ConfigMap/site/region").write_text("north")
    tmp_path.joinpath("references/top").write_text("not theirs")
    return Places(
        journal_file=tmp_path / "journal",
        certificates_dir=tmp_path / "certificates",
        references_dir=tmp_path / "references",
    )


def test_values_are_taken_as_they_are_and_may_be_referred_to(places: Places) -> None:
    references = [
        EnvReference("KEY", "Secret", "licence", "key"),
        EnvReference("REGION", "ConfigMap", "site", "region"),
    ]
    given = read_references(places, references)
    argv, env = resolve(["run", "$(REGION)"], ["A=1", "KEY=", "REGION=", "BOTH=$(A)-$(REGION)"], {}, [], given)
    assert argv == ["run", "north"]
    assert env == ["A=1", "KEY=s$(A)cret\n", "REGION=north", "BOTH=1-north"], "a secret is not expanded"


def test_an_optional_one_that_is_not_there_is_left_out(places: Places) -> None:
    given = read_references(places, [EnvReference("KEY", "Secret", "licence", "other", optional=True)])
    assert resolve(["x"], ["KEY="], {}, [], given)[1] == []


@pytest.mark.parametrize(
    ("name", "key", "word"),
    [
        ("licence", "other", "has no key other"),
        ("unknown", "key", "Secret unknown has no key"),
        ("licence", "binary", "is no text"),
        ("licence", "zero", "zero byte"),
        ("licence", "../../top", "has no key"),
        ("licence", "..", "has no key"),
        ("licence", "k" * 300, "has no key"),
        ("..", "top", "has no key"),
    ],
)
def test_what_cannot_be_had_is_a_sentence_that_shows_no_value(places: Places, name: str, key: str, word: str) -> None:
    with pytest.raises(ValueError, match=word) as refused:
        read_references(places, [EnvReference("KEY", "Secret", name, key)])
    assert "KEY" in str(refused.value)
    assert "cret" not in str(refused.value).replace("Secret", "")


def test_certificates_are_waited_for_once_in_the_life_of_a_pod(places: Places) -> None:
    folder = places.certificates_dir / "corp-ca"
    folder.joinpath("..data").mkdir()
    sentence = missing_certificates(places, ["corp-ca", "other"])
    assert "corp-ca, other" in sentence
    folder.joinpath("ca.crt").write_text("x")
    assert "corp-ca" not in missing_certificates(places, ["corp-ca", "other"])
    assert missing_certificates(places, ["corp-ca"]) == ""
    folder.joinpath("ca.crt").unlink()
    assert missing_certificates(places, ["corp-ca"]) == "", "an agent that restarts keeps to the tasks that run"
    assert missing_certificates(places, []) == ""
