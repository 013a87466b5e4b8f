"""The process around a replica."""

from pathlib import Path

import pytest
import yaml

from batchpools.app import Operator
from batchpools.settings import Settings

_CONFIG = {
    "current-context": "here",
    "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
    "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
    "users": [{"name": "u", "user": {"token": "t"}}],
}


async def test_each_process_stands_for_election_under_a_name_that_nobody_had_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Safety rule S2.1: a pod that is started again must not take its predecessor's Lease for its own."""
    (tmp_path / "config").write_text(yaml.safe_dump(_CONFIG))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    settings = Settings(namespace="batch-system", image="image", pod_name="batchpools-0")
    names = {Operator(settings)._replica._ports.identity for _ in range(2)}
    assert len(names) == 2
    assert all(name.startswith("batchpools-0_") for name in names)
