"""What an agent is told by its pod: JSON in BATCHPOOLS_NODE, written by `core.pools.node_pod`, read by `agent`. Pure."""

import msgspec

NODE_CONFIG_ENV = "BATCHPOOLS_NODE"


class EnvReference(msgspec.Struct, frozen=True, array_like=True):
    """A variable whose value is read on the node. kind: Secret or ConfigMap. optional: left out when it is not there."""

    variable: str
    kind: str
    name: str
    key: str
    optional: bool = False


class PackageConfig(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """An application package that is in place before anything runs: an archive at a URL, or in a ConfigMap that the agent sees.

    format: Zip or TarGz. sha256: what the archive must be, empty = anything. fingerprint: of all that. is_default: version is the
    package's default one.
    """

    name: str
    version: str
    fingerprint: str
    format: str = "Zip"
    url: str = ""
    config_map: str = ""
    sha256: str = ""
    is_default: bool = False


class FileSource(msgspec.Struct, frozen=True, array_like=True):
    """What is to be brought into a working directory.

    kind: Http (a URL), Container (the URL of a container of Azure Blob Storage), AutoStorage (the name of one in the account that
    the node was told of), ConfigMap or Secret (a name). path: the file of Http, the directory of the others, empty = the working
    directory. credentials: name of a Secret.
    """

    kind: str
    location: str
    path: str = ""
    mode: int = 0o770
    prefix: str = ""
    sha256: str = ""
    credentials: str = ""


class StartTaskConfig(msgspec.Struct, frozen=True, rename="camel"):
    """The start task; argv is already split, `$(NAME)` not yet expanded; env as NAME=value.

    inside: it runs in the task container, else in an init container of its own. waits: tasks wait for its success.
    """

    argv: list[str]
    env: list[str]
    max_task_retry_count: int  # -1 = for ever
    inside: bool = False
    waits: bool = True
    references: list[EnvReference] = []
    elevated: bool = False
    files: list[FileSource] = []


class NodeConfig(msgspec.Struct, frozen=True, rename="camel"):
    """One node. Durations in seconds. containers: those that tasks may name, beside the task container."""

    namespace: str
    pool: str
    node: str
    slots: int
    hub_host: str  # resolves to the addresses of all replicas
    hub_port: int
    drain_timeout: float
    dedicated: bool = True
    start_task: StartTaskConfig | None = None
    log: str = ""  # failed, all: whose output also goes into the container's log
    elevates: bool = False  # its runner is root of its container, and makes runs root that ask for it
    certificates: list[str] = []  # Secrets that must be there before anything runs
    containers: list[str] = []
    packages: list[PackageConfig] = []
    auto_storage: str = ""  # URL of a storage account whose containers files may name
