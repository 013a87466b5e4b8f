"""Which Secrets and ConfigMaps an environment may name: those that the pool lists."""

import pytest

from batchpools.core.node_config import EnvReference
from batchpools.core.tasks.references import references_of, unlisted
from batchpools.core.views import EnvVar, EnvVarSource, KeyReference, PoolSpec

SECRET = EnvVar("A", value_from=EnvVarSource(secret_key_ref=KeyReference(name="s", key="k", optional=True)))
CONFIG = EnvVar("B", value_from=EnvVarSource(config_map_key_ref=KeyReference(name="c", key="k")))


def test_variables_that_say_value_from_are_read_on_the_node() -> None:
    env = [EnvVar("PLAIN", "x"), SECRET, CONFIG]
    assert references_of(env) == [EnvReference("A", "Secret", "s", "k", True), EnvReference("B", "ConfigMap", "c", "k")]


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        (PoolSpec(secret_references=("s",), config_map_references=("c",)), ""),
        (PoolSpec(secret_references=("s",)), "ConfigMap c, which pool p does not list in configMapReferences"),
        (PoolSpec(config_map_references=("c",)), "Secret s, which pool p does not list in secretReferences"),
        (PoolSpec(secret_references=("c",), config_map_references=("s",)), "secretReferences"),
    ],
)
def test_what_the_pool_does_not_list_is_refused_with_a_sentence(spec: PoolSpec, word: str) -> None:
    told = unlisted(references_of([SECRET, CONFIG]), spec, "p")
    assert word in told
    assert bool(told) == bool(word)
