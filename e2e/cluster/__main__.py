"""Command line of the cluster to run on: up, down, status, env, load-image, leftovers."""

import argparse
import sys

from e2e.cluster import choose, images
from e2e.cluster.local import LocalCluster
from e2e.cluster.prerequisites import MissingError


def main() -> int:
    """Run one command; 1 with a sentence when something is missing."""
    parser = argparse.ArgumentParser(prog="python -m e2e.cluster", description=__doc__)
    parser.add_argument("command", choices=["up", "down", "status", "env", "load-image", "leftovers"])
    parser.add_argument("--number", type=int, help="which local cluster (0-49); else CLUSTER_NUMBER, else 0")
    arguments = parser.parse_args()
    try:
        return _run(arguments.command, choose.choose(arguments.number))
    except (MissingError, RuntimeError, ValueError, TimeoutError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _run(command: str, cluster: choose.Cluster) -> int:
    if command == "up":
        cluster.up()
        _remember(cluster)
    elif command == "down":
        cluster.down()
    elif command == "load-image":
        print(f"loaded {choose.load_images(cluster)}")
    elif command == "status":
        state = "up" if not isinstance(cluster, LocalCluster) or cluster.running else "down"
        print(f"{cluster.kind}: {state}")
    elif command == "env":
        print(f"export KUBECONFIG={cluster.kubeconfig}")
        if isinstance(cluster, LocalCluster):
            print(f"export PATH={cluster.programs}:$PATH")
    elif isinstance(cluster, LocalCluster):
        left = cluster.leftovers()
        print("\n".join(left) or "nothing is left")
        return bool(left)
    return 0


def _remember(cluster: choose.Cluster) -> None:
    """A copy of the kubeconfig in the project, git-ignored, for tests and people."""
    folder = images.ROOT / ".cluster"
    folder.mkdir(exist_ok=True)
    if isinstance(cluster, LocalCluster):
        (folder / "kubeconfig").write_text(cluster.kubeconfig.read_text())
        (folder / "kubeconfig").chmod(0o600)


if __name__ == "__main__":
    sys.exit(main())
