"""Clusters that somebody else makes: the user's current context, and kind."""

import os
import subprocess
from pathlib import Path
from typing import Literal

from e2e.cluster import images

KIND_NAME = "batchpools"


class CurrentCluster:
    """The cluster of the user's current kubectl context. It is never taken down by us, and images are the user's to provide."""

    kind: Literal["current"] = "current"

    @property
    def kubeconfig(self) -> Path:
        """The user's own."""
        return Path(os.environ.get("KUBECONFIG") or Path.home() / ".kube/config")

    def up(self) -> None:
        """Say which cluster it is."""
        command = ["kubectl", "config", "current-context"]
        context = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        print(f"using the current context {context!r}; IMAGE names an image of batchpools that it can pull", flush=True)

    def down(self) -> None:
        """Nothing: it is not ours."""
        print("the current context's cluster is not ours to take down", flush=True)

    def load_project_images(self) -> str:
        """The image that the user provides; RuntimeError with a sentence when IMAGE is not set."""
        image = os.environ.get("IMAGE", "")
        if not image:
            raise RuntimeError(
                "CLUSTER=current needs IMAGE=<an image of operator/Dockerfile that the cluster can pull>"
            )
        return image


class KindCluster:
    """A kind cluster, where a Docker engine answers."""

    kind: Literal["kind"] = "kind"

    @property
    def kubeconfig(self) -> Path:
        """Written by `kind get kubeconfig` into the project."""
        return images.ROOT / ".cluster" / "kind.conf"

    def up(self) -> None:
        """Create it unless it is there."""
        there = subprocess.run(["kind", "get", "clusters"], capture_output=True, text=True, check=True).stdout.split()
        if KIND_NAME not in there:
            subprocess.run(["kind", "create", "cluster", "--name", KIND_NAME, "--wait", "120s"], check=True)
        self.kubeconfig.parent.mkdir(exist_ok=True)
        with self.kubeconfig.open("w") as file:
            subprocess.run(["kind", "get", "kubeconfig", "--name", KIND_NAME], check=True, stdout=file)

    def down(self) -> None:
        """Delete it."""
        subprocess.run(["kind", "delete", "cluster", "--name", KIND_NAME], check=True)

    def load_project_images(self) -> str:
        """Build operator/Dockerfile with Docker and load it."""
        name = images.PROJECT_IMAGE
        dockerfile = str(images.ROOT / "operator/Dockerfile")
        subprocess.run(["docker", "build", "-q", "-t", name, "-f", dockerfile, str(images.ROOT)], check=True)
        subprocess.run(["kind", "load", "docker-image", name, "--name", KIND_NAME], check=True)
        return name
