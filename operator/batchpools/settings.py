"""Settings of the operator: one frozen value, read once from the environment. It decides defaults and bounds."""

from collections.abc import Mapping
from dataclasses import dataclass

from batchpools.api import names
from batchpools.api.durations import parse_duration

_DAY = 86400.0


class SettingError(ValueError):
    """A variable of the environment has a value that cannot be used; the message names it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a replica needs to know before it starts. Durations in seconds."""

    namespace: str  # the operator's own
    image: str  # of install-runner and agent in node pods
    pod_name: str
    pod_ip: str = ""  # where other replicas find this one; empty: standbys hand nothing on to it
    lease_duration: float = 15.0
    renew_deadline: float = 10.0
    retry_period: float = 2.0
    hub_port: int = names.HUB_PORT
    ops_port: int = names.OPS_PORT
    metrics_port: int = names.METRICS_PORT
    aggregated_api: bool = True
    certificate_secret: str = ""  # made by others (cert-manager); empty: the operator has a CA of its own
    ca_life: float = 3650 * _DAY
    certificate_life: float = 90 * _DAY
    ca_spread: float = 300.0  # after which everybody acts on the CAs that they were told of
    watch_namespaces: tuple[str, ...] = ()  # empty: all; else no right beyond these is needed (namespaced mode)
    token_keys: str = ""  # a folder with `issuer` and `jwks.json`; empty: asked of the API server. Namespaced mode only
    topology_key: str = names.ZONE_KEY  # of Kubernetes nodes: what nodes of an inter-node pool are to have in common
    user_namespaces: bool = True  # whether machines have them: elevated tasks are then root of nothing but their pod
    auto_storage: str = ""  # URL of the storage account whose containers resource files may name
    log_level: str = "INFO"

    @property
    def ops_address(self) -> str:
        """`host:port` of this replica's aggregated API, empty when it has none that others can reach."""
        if not self.pod_ip or not self.aggregated_api:
            return ""
        host = f"[{self.pod_ip}]" if ":" in self.pod_ip else self.pod_ip
        return f"{host}:{self.ops_port}"

    @property
    def ops_host(self) -> str:
        """The name of the aggregated API's service: what the API server and other replicas verify."""
        return f"{names.OPS_SERVICE}.{self.namespace}.svc"

    @property
    def hub_host(self) -> str:
        """The name that agents resolve to the addresses of all replicas."""
        return f"{names.HUB_SERVICE}.{self.namespace}.svc"


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Settings from BATCHPOOLS_* variables; SettingError with a sentence naming the variable."""
    settings = Settings(
        namespace=_text(environment, "BATCHPOOLS_NAMESPACE"),
        image=_text(environment, "BATCHPOOLS_IMAGE"),
        pod_name=environment.get("BATCHPOOLS_POD_NAME", "batchpools"),
        pod_ip=environment.get("BATCHPOOLS_POD_IP", ""),
        lease_duration=_seconds(environment, "BATCHPOOLS_LEASE_DURATION", 15.0),
        renew_deadline=_seconds(environment, "BATCHPOOLS_RENEW_DEADLINE", 10.0),
        retry_period=_seconds(environment, "BATCHPOOLS_RETRY_PERIOD", 2.0),
        aggregated_api=environment.get("BATCHPOOLS_AGGREGATED_API", "true").lower() != "false",
        watch_namespaces=_list(environment, "BATCHPOOLS_WATCH_NAMESPACES"),
        token_keys=environment.get("BATCHPOOLS_TOKEN_KEYS", ""),
        certificate_secret=environment.get("BATCHPOOLS_CERTIFICATE_SECRET", ""),
        ca_life=_duration(environment, "BATCHPOOLS_CA_LIFE", 3650 * _DAY),
        certificate_life=_duration(environment, "BATCHPOOLS_CERTIFICATE_LIFE", 90 * _DAY),
        ca_spread=_duration(environment, "BATCHPOOLS_CA_SPREAD", 300.0),
        topology_key=environment.get("BATCHPOOLS_TOPOLOGY_KEY") or names.ZONE_KEY,
        user_namespaces=environment.get("BATCHPOOLS_USER_NAMESPACES", "true").lower() != "false",
        auto_storage=environment.get("BATCHPOOLS_AUTO_STORAGE_URL", ""),
        log_level=environment.get("BATCHPOOLS_LOG_LEVEL", "INFO").upper(),
    )
    if not settings.retry_period < settings.renew_deadline < settings.lease_duration:
        raise SettingError(
            "BATCHPOOLS_RETRY_PERIOD < BATCHPOOLS_RENEW_DEADLINE < BATCHPOOLS_LEASE_DURATION must hold, but they are "
            f"{settings.retry_period}, {settings.renew_deadline} and {settings.lease_duration} seconds"
        )
    if settings.watch_namespaces and settings.aggregated_api:
        raise SettingError(
            "BATCHPOOLS_WATCH_NAMESPACES needs BATCHPOOLS_AGGREGATED_API=false: an APIService belongs to the whole cluster"
        )
    if settings.ca_life < 9 * settings.ca_spread:
        raise SettingError(
            "BATCHPOOLS_CA_LIFE must be at least nine times BATCHPOOLS_CA_SPREAD: a CA is replaced in the last third of "
            f"its life, but they are {settings.ca_life:g} and {settings.ca_spread:g} seconds"
        )
    return settings


def _text(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "")
    if not value:
        raise SettingError(f"{name} is not set")
    return value


def _list(environment: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Names between commas, each once."""
    named = (one.strip() for one in environment.get(name, "").split(","))
    return tuple(dict.fromkeys(one for one in named if one))


def _seconds(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(name, "")
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        raise SettingError(f"{name} is {text!r}, not a number of seconds") from None
    if not 0 < value <= 3600:
        raise SettingError(f"{name} is {text!r}; it must lie between 0 and 3600 seconds")
    return value


def _duration(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(name, "")
    if not text:
        return default
    try:
        value = parse_duration(text)
    except ValueError as error:
        raise SettingError(f"{name}: {error}") from None
    if value <= 0:
        raise SettingError(f"{name} is {text!r}; it must be longer than nothing")
    return value
