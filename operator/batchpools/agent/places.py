"""Where an agent finds what its pod gives it. Tests name other places; nothing here reads them."""

from dataclasses import dataclass
from pathlib import Path

from batchpools.api import names


@dataclass(frozen=True, slots=True)
class Places:
    """Files and sockets; a socket that begins with "@" is abstract."""

    token_file: Path = Path(names.TOKEN_DIR, "token")
    ca_file: Path = Path(names.CA_DIR, "ca.crt")
    journal_file: Path = Path(names.AGENT_STATE_DIR, "journal")
    runner_socket: str = names.RUNNER_SOCKET
    start_task_socket: str = names.START_TASK_SOCKET
    certificates_dir: Path = Path(names.CERTIFICATES_DIR)
    references_dir: Path = Path(names.REFERENCES_DIR)
    packages_dir: Path = Path(names.AGENT_PACKAGES_DIR)
    package_sources_dir: Path = Path(names.PACKAGE_SOURCES_DIR)

    def socket_of(self, container: str) -> str:
        """Where the runner of a container listens: the containers of a pod share the network namespace, so each has a name."""
        return names.runner_socket(container, self.runner_socket)
