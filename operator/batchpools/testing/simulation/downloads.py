"""Where played nodes get application packages from: a server that is there or is not, and what each pod has of it.

It stands for `agent.packages.install_package`, which tests hold to real archives and a real HTTP server.
"""

import asyncio

from batchpools.agent.places import Places
from batchpools.core.node_config import PackageConfig
from batchpools.core.packages.places import subject

_TAKES = 0.3  # virtual seconds


class Downloads:
    """The server. had: fingerprints that any pod ever had in place."""

    def __init__(self) -> None:
        self.is_down = False
        self.had: set[str] = set()


class PodPackages:
    """What one pod has: it outlives the agent, as the volume does."""

    def __init__(self, downloads: Downloads) -> None:
        self._downloads = downloads
        self._there: set[str] = set()

    async def install(self, _: Places, package: PackageConfig) -> str:
        """As `agent.packages.Install`."""
        if package.fingerprint in self._there:
            return ""
        await asyncio.sleep(_TAKES)
        if self._downloads.is_down:
            return f"{subject(package.name, package.version)}: its server is not there."
        self._there.add(package.fingerprint)
        self._downloads.had.add(package.fingerprint)
        return ""

    def lacks(self, packages: list[PackageConfig]) -> list[str]:
        """Names of packages that are not in place."""
        return [one.name for one in packages if one.fingerprint not in self._there]
