"""Where the API server is and who we are, from a kubeconfig."""

import json
import ssl
from pathlib import Path
from typing import Any

import pytest
from kubernetes.config import ConfigException

from batchpools.hub.certificates import new_authority
from batchpools.kube.credentials import load_credentials
from batchpools.testing.clock import EPOCH


def use_kubeconfig(monkeypatch: pytest.MonkeyPatch, directory: Path, user: dict[str, Any]) -> None:
    cluster = {"server": "https://192.0.2.1:6443", "insecure-skip-tls-verify": True}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
    }
    path = directory / "kubeconfig"
    path.write_text(json.dumps(config))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(path))


def test_a_kubeconfig_names_the_server_and_the_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_kubeconfig(monkeypatch, tmp_path, {"token": "abc"})
    credentials = load_credentials()
    assert credentials.server == "https://192.0.2.1:6443"
    assert credentials.authorization() == "Bearer abc"
    assert credentials.tls.verify_mode == ssl.CERT_NONE


def test_a_user_without_token_sends_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_kubeconfig(monkeypatch, tmp_path, {})
    assert load_credentials().authorization() == ""


def test_no_kubeconfig_at_all_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(ConfigException):
        load_credentials()


def test_a_pod_uses_its_service_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    token, certificate = tmp_path / "token", tmp_path / "ca.crt"
    token.write_text("abc")
    certificate.write_text(new_authority(EPOCH).certificate)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "192.0.2.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    monkeypatch.setattr("kubernetes.config.incluster_config.SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr("kubernetes.config.incluster_config.SERVICE_CERT_FILENAME", str(certificate))
    credentials = load_credentials()
    assert credentials.server == "https://192.0.2.1:443"
    assert credentials.authorization().lower() == "bearer abc"
    assert credentials.tls.verify_mode == ssl.CERT_REQUIRED
