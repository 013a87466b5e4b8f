"""What several kinds share: the base of all models, rules, bounded types, environment, conditions. No behaviour."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from batchpools.api.durations import MAX_LENGTH, PATTERN
from batchpools.api.reasons import FailureCode
from batchpools.api.states import FailureCategory

VALIDATIONS = "x-kubernetes-validations"
PRESERVE: dict[str, Any] = {"x-kubernetes-preserve-unknown-fields": True}


class Model(BaseModel):
    """camelCase on the wire, unknown fields refused."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


def rule(expression: str, message: str) -> dict[str, str]:
    """A CEL rule with the sentence that a person gets."""
    return {"rule": expression, "message": message}


def rules(*those: dict[str, str]) -> dict[str, Any]:
    """json_schema_extra with rules."""
    return {VALIDATIONS: list(those)}


def list_map(key: str) -> dict[str, Any]:
    """json_schema_extra of a list whose items are told apart by a key."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}


def opaque(description: str, **bounds: Any) -> Any:
    """A field that is copied into pods as it is; the API server checks it when a pod is created."""
    return Field(default=None, description=description, json_schema_extra=PRESERVE, **bounds)


Duration = Annotated[
    str,
    Field(pattern=PATTERN, max_length=MAX_LENGTH, examples=["30s", "15m", "1h30m"]),
]
DnsLabel = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=63)]
ContainerName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=63)]
TaskId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$", min_length=1, max_length=64)]
RequestId = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$", min_length=1, max_length=64)]
Text = Annotated[str, Field(max_length=1024)]
Word = Annotated[str, Field(min_length=1, max_length=4096)]
Command = Annotated[list[Word], Field(min_length=1, max_length=256)]
CommandLine = Annotated[str, Field(min_length=1, max_length=8192)]

RESERVED_ENV = rule(
    "!self.name.startsWith('AZ_BATCH_') && !self.name.startsWith('BATCHPOOLS_')",
    "names that begin with AZ_BATCH_ or BATCHPOOLS_ are set by the system",
)
ONE_COMMAND = rule("has(self.command) != has(self.commandLine)", "exactly one of command and commandLine must be given")


class KeyReference(Model):
    """A key of a Secret or ConfigMap that the pool lists."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)] = Field(
        description="The object, in the same namespace."
    )
    key: Annotated[str, Field(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253)] = Field(description="The key.")
    optional: bool = Field(default=False, description="Whether the variable is left out when there is no such key.")


class EnvVarSource(Model):
    """Where a value comes from; it is read on the node, and taken as it is."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "has(self.secretKeyRef) != has(self.configMapKeyRef)",
                "exactly one of secretKeyRef and configMapKeyRef must be given",
            )
        )
    )
    secret_key_ref: KeyReference | None = Field(
        default=None, description="A key of a Secret that the pool lists in secretReferences."
    )
    config_map_key_ref: KeyReference | None = Field(
        default=None, description="A key of a ConfigMap that the pool lists in configMapReferences."
    )


class EnvVar(Model):
    """An environment variable: its value, or where that comes from."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            RESERVED_ENV,
            rule("!has(self.valueFrom) || self.value == ''", "only one of value and valueFrom may be given"),
        )
    )
    name: Annotated[str, Field(pattern=r"^[-._a-zA-Z][-._a-zA-Z0-9]*$", max_length=128)] = Field(
        description="Name of the variable."
    )
    value: Annotated[str, Field(max_length=8192)] = Field(
        default="", description="Its value; $(NAME) refers to a variable that stands before it."
    )
    value_from: EnvVarSource | None = Field(default=None, description="Where its value comes from, instead.")


Env = Annotated[list[EnvVar], Field(max_length=100, json_schema_extra=list_map("name"))]


class Condition(Model):
    """A condition as Kubernetes writes them."""

    type: Annotated[str, Field(max_length=64)] = Field(description="What this condition is about.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    reason: Annotated[str, Field(max_length=64)] = Field(default="", description="Why, in one word.")
    message: Text = Field(default="", description="Why, in a sentence.")
    last_transition_time: datetime | None = Field(default=None, description="When status last changed.")
    observed_generation: int = Field(default=0, description="The generation of the spec that this speaks of.")


Conditions = Annotated[list[Condition], Field(max_length=16, json_schema_extra=list_map("type"))]

EPOCH_RULE = rule(
    "!has(oldSelf.epoch) || (has(self.epoch) && self.epoch >= oldSelf.epoch)",
    "written by a leader that has been replaced: its epoch is older than the one recorded",
)


class Status(Model):
    """What every status has."""

    observed_generation: int = Field(default=0, description="The generation of the spec that this status speaks of.")
    epoch: int = Field(default=0, description="The epoch of the leader that wrote it; never goes back.")
    conditions: Conditions = Field(default=[], description="Conditions by type.")


class FailureInfo(Model):
    """Why something failed."""

    category: FailureCategory = Field(description="Whose fault it is.")
    code: FailureCode = Field(description="Azure's code.")
    message: Text = Field(default="", description="A sentence for people.")


FRESH_CONDITIONS: list[Any] = [
    {
        "type": "Finished",
        "status": "False",
        "reason": "Waiting",
        "message": "",
        "lastTransitionTime": "1970-01-01T00:00:00Z",
        "observedGeneration": 0,
    }
]
