"""A real Prometheus on this machine that scrapes the operator through the API server's proxy, wherever the cluster is.

It comes from PATH, else from Debian's package, unpacked into the cache. It reads the chart's own rules.
"""

import json
import shutil
import socket
import subprocess
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from e2e.cluster import pins
from e2e.cluster.images import ROOT
from e2e.operator_install import Installation
from e2e.stories import until

RULES = ROOT / "charts/batchpools/monitoring/rules.yaml"


def programs() -> Path | None:
    """The folder with prometheus and promtool; None where neither PATH nor apt has them."""
    found = shutil.which("prometheus")
    if found:
        return Path(found).parent
    cache = pins.cache_dir() / "prometheus"
    if not (cache / "usr/bin/promtool").exists():
        if shutil.which("apt-get") is None:
            return None
        cache.mkdir(parents=True, exist_ok=True)
        for command in (["apt-get", "update"], ["apt-get", "download", "prometheus"]):
            subprocess.run(command, cwd=cache, check=True, capture_output=True)
        (package,) = cache.glob("prometheus_*.deb")
        subprocess.run(["dpkg", "-x", str(package), str(cache)], check=True)
    return cache / "usr/bin"


class Prometheus(AbstractContextManager["Prometheus"]):
    """Up while the context lasts; it forgets everything after."""

    def __init__(self, folder: Path, operator: Installation, interval: float = 1.0) -> None:
        self._folder = folder
        self._operator = operator
        self._interval = interval

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            self._proxied = self._proxy(stack)
            (home / "prometheus.yml").write_text(yaml.safe_dump(self._config()))
            self._address = f"127.0.0.1:{_free_port()}"
            arguments = [f"--config.file={home / 'prometheus.yml'}", f"--storage.tsdb.path={home / 'tsdb'}"]
            log = stack.enter_context((home / "log").open("wb"))
            program = [str(self._folder / "prometheus"), *arguments, f"--web.listen-address={self._address}"]
            process = stack.enter_context(_ended(subprocess.Popen(program, stdout=log, stderr=log)))
            until(lambda: self._ready() or process.poll() is not None, "Prometheus answers")
            assert process.poll() is None, (home / "log").read_text()[-2000:]
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    def ask(self, question: str) -> list[dict[str, Any]]:
        """The series of an instant query."""
        found: list[dict[str, Any]] = self._get("query", query=question)["result"]
        return found

    def targets(self) -> list[str]:
        """The health of every target."""
        return [one["health"] for one in self._get("targets", state="active")["activeTargets"]]

    def alerts(self) -> dict[str, str]:
        """State of every alert by name: inactive, pending or firing."""
        groups = self._get("rules", type="alert")["groups"]
        return {rule["name"]: rule["state"] for group in groups for rule in group["rules"]}

    # ---------------------------------------------------------------- inside

    def _proxy(self, stack: ExitStack) -> str:
        """host:port of a kubectl proxy that lasts as long as the stack."""
        command = [self._operator.kubectl_program, f"--kubeconfig={self._operator.kubeconfig}", "proxy", "--port=0"]
        proxy = stack.enter_context(_ended(subprocess.Popen(command, stdout=subprocess.PIPE, text=True)))
        assert proxy.stdout is not None
        return str(proxy.stdout.readline().split()[-1])  # Starting to serve on 127.0.0.1:40000

    def _get(self, what: str, **arguments: str) -> dict[str, Any]:
        question = f"http://{self._address}/api/v1/{what}?{urllib.parse.urlencode(arguments)}"
        with urllib.request.urlopen(question, timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)["data"]
            return found

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self._address}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError):
            return False

    def _config(self) -> dict[str, Any]:
        """The replicas that there are now, each through kubectl proxy: Debian builds Prometheus without the discovery of pods."""
        every = f"{self._interval:g}s"
        jobs = [
            {
                "job_name": pod,
                "metrics_path": f"/api/v1/namespaces/{self._operator.namespace}/pods/{pod}:8080/proxy/metrics",
                "honor_labels": True,
                "static_configs": [{"targets": [self._proxied], "labels": {"instance": pod}}],
            }
            for pod in self._operator.pods()
        ]
        pace = {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every}
        return {"global": pace, "rule_files": [str(RULES)], "scrape_configs": jobs}


@contextmanager
def _ended(process: subprocess.Popen[Any]) -> Iterator[subprocess.Popen[Any]]:
    """A process that ends with the context."""
    with process:
        try:
            yield process
        finally:
            process.terminate()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
