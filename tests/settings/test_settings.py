"""The environment of a replica: defaults, bounds, and sentences that name the variable."""

import pytest

from batchpools.settings import SettingError, Settings, read_settings

NEEDED = {"BATCHPOOLS_NAMESPACE": "batch-system", "BATCHPOOLS_IMAGE": "batchpools:1"}


def read(**other: str) -> Settings:
    return read_settings({**NEEDED, **{f"BATCHPOOLS_{name}": value for name, value in other.items()}})


def test_defaults_are_those_of_the_chart_and_of_the_class() -> None:
    assert read() == Settings("batch-system", "batchpools:1", "batchpools")
    assert (read().hub_host, read().ops_host) == ("batchpools-hub.batch-system.svc", "batchpools-ops.batch-system.svc")


@pytest.mark.parametrize(("ip", "address"), [("10.0.0.1", "10.0.0.1:8444"), ("fd00::1", "[fd00::1]:8444"), ("", "")])
def test_where_other_replicas_find_this_one(ip: str, address: str) -> None:
    assert read(POD_IP=ip).ops_address == address
    assert read(POD_IP=ip, AGGREGATED_API="false").ops_address == ""


@pytest.mark.parametrize(("text", "names"), [("", ()), ("one", ("one",)), ("one, two,,one", ("one", "two"))])
def test_namespaces_stand_between_commas(text: str, names: tuple[str, ...]) -> None:
    assert read(WATCH_NAMESPACES=text, AGGREGATED_API="false").watch_namespaces == names


def test_an_aggregated_api_belongs_to_the_whole_cluster() -> None:
    with pytest.raises(SettingError, match="belongs to the whole cluster"):
        read(WATCH_NAMESPACES="one")


@pytest.mark.parametrize("name", sorted(NEEDED))
def test_what_is_needed_is_named(name: str) -> None:
    with pytest.raises(SettingError, match=f"{name} is not set"):
        read_settings({key: value for key, value in NEEDED.items() if key != name})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LEASE_DURATION", "soon"),
        ("LEASE_DURATION", "0"),
        ("RENEW_DEADLINE", "16"),
        ("CA_LIFE", "ten years"),
        ("CERTIFICATE_LIFE", "0s"),
        ("CA_SPREAD", "87600h"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingError, match=f"BATCHPOOLS_{name}"):
        read(**{name: value})
