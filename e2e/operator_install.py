"""The operator on the cluster of the stories: installed by Helm once, and what can be done to it."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from e2e.cluster import choose
from e2e.cluster.images import ROOT
from e2e.cluster.local import LocalCluster
from e2e.stories import until

NAMESPACE = "batchpools-system"
_FAST = {
    "leaderElection.leaseDuration": "6",
    "leaderElection.renewDeadline": "4",
    "leaderElection.retryPeriod": "1",
    "certificates.spread": "5s",
}  # failover and a new CA in seconds; the chart's default is 15/10/2 and five minutes


class Installation:
    """An installed operator and the cluster under it."""

    def __init__(self, cluster: choose.Cluster, *, fast: bool = True, namespace: str = NAMESPACE) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self._fast = fast

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.cluster.kubeconfig

    @property
    def kubectl_program(self) -> str:
        """Ours where we built one."""
        return self._program("kubectl")

    def install(self, **settings: str) -> None:
        """Bring the cluster up, load images, install or upgrade the chart, wait until every replica is ready.

        settings: values of the chart; __ stands for a dot.
        """
        self.cluster.up()
        image, _, tag = choose.load_images(self.cluster).rpartition(":")
        values = {"image.repository": image, "image.tag": tag}
        if self._fast:
            values |= _FAST
        values |= {key.replace("__", "."): value for key, value in settings.items()}
        sets = [word for key, value in values.items() for word in ("--set", f"{key}={value}")]
        chart = str(ROOT / "charts/batchpools")
        flags = ["--install", "--create-namespace", "--take-ownership"]  # CRDs that were applied before are taken over
        self._run("helm", "upgrade", "batchpools", chart, "-n", self.namespace, *flags, *sets)
        self.kubectl("rollout", "restart", "deployment/batchpools")  # the tag stays the same when the code changes
        self.wait_ready()

    def uninstall(self) -> None:
        """helm uninstall, with its hook."""
        self._run("helm", "uninstall", "batchpools", "-n", self.namespace, "--wait", "--timeout=120s")

    @contextmanager
    def away(self) -> Iterator[None]:
        """No replica runs in here: another installation may work in its place."""
        self.kubectl("scale", "deployment/batchpools", "--replicas=0")
        until(lambda: not self.pods(), "all replicas have ended")
        try:
            yield
        finally:
            self.kubectl("scale", "deployment/batchpools", "--replicas=2")
            self.wait_ready()

    def wait_ready(self) -> None:
        """Wait until every replica is ready and one leads."""
        self.kubectl("rollout", "status", "deployment/batchpools", "--timeout=120s")
        until(lambda: self.leader() in self.pods(), "an operator leads")

    def pods(self) -> list[str]:
        """The pods of all replicas."""
        listed = self.kubectl("get", "pods", "-l", "app.kubernetes.io/component=operator", "-o", "name")
        return [line.partition("/")[2] for line in listed.splitlines()]

    def kubectl(self, *arguments: str) -> str:
        """kubectl in the operator's namespace."""
        return self._run("kubectl", "-n", self.namespace, *arguments)

    def leader(self) -> str:
        """The pod of the replica that leads; empty when none does."""
        return self.holder().partition("_")[0]

    def holder(self) -> str:
        """Who leads, `pod_uuid`: a process that was restarted in its pod is another one. Empty when nobody does."""
        lease = json.loads(
            self.kubectl("get", "lease", "batchpools-operator", "-o", "json", "--ignore-not-found") or "{}"
        )
        return str(lease.get("spec", {}).get("holderIdentity", ""))

    def kill_leader(self) -> str:
        """SIGKILL the leading process: its pod is deleted without grace, nothing is released. The new leader's pod."""
        former = self.leader()
        self.kubectl("delete", "pod", former, "--grace-period=0", "--force")

        def other() -> str:
            present = self.leader()
            return present if present != former else ""

        return until(other, "another replica leads")

    @contextmanager
    def without_api_server(self) -> Iterator[None]:
        """The API server is dead in here (only on the local cluster)."""
        with self._without("apiserver"):
            yield

    @contextmanager
    def without_etcd(self) -> Iterator[None]:
        """etcd is dead in here (only on the local cluster); its data is kept."""
        with self._without("etcd"):
            yield

    def metric(self, name: str) -> dict[str, float]:
        """Samples of a metric of the API server, by their labels' text."""
        lines = self._run("kubectl", "get", "--raw", "/metrics").splitlines()
        pairs = (line.rpartition(" ") for line in lines if line.startswith(name + "{"))
        return {labels: float(value) for labels, _, value in pairs}

    def writes(self) -> float:
        """POST, PUT and PATCH of our group that the API server has answered, all resources and /status."""
        verbs = ('verb="POST"', 'verb="PUT"', 'verb="PATCH"', 'verb="APPLY"')
        samples = self.metric("apiserver_request_total").items()
        return sum(
            value
            for labels, value in samples
            if 'group="batchpools.dev"' in labels and any(verb in labels for verb in verbs)
        )

    @contextmanager
    def _without(self, component: str) -> Iterator[None]:
        assert isinstance(self.cluster, LocalCluster)
        with self.cluster.without(component):
            yield
        until(self._answers, "the API server answers again")

    def _answers(self) -> bool:
        try:
            self._run("kubectl", "get", "--raw", "/readyz")
        except AssertionError:
            return False
        return True

    def _run(self, program: str, *arguments: str) -> str:
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig)}
        command = [self._program(program), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, env=environment)
        if done.returncode != 0:
            raise AssertionError(f"{program} {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def _program(self, name: str) -> str:
        if isinstance(self.cluster, LocalCluster):
            return str(self.cluster.programs / name)
        return shutil.which(name) or name


def logs_of(installation: Installation) -> str:
    """The last lines of every replica, for a failed story."""
    return installation.kubectl("logs", "-l", "app.kubernetes.io/component=operator", "--tail=40", "--prefix")
