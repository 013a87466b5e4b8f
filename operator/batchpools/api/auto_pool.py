"""A pool that is made for a job, or for all jobs of a schedule, and goes with it.

Source: Azure Batch REST reference, AutoPoolSpecification.
"""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from batchpools.api.common import Model, rule, rules
from batchpools.api.pool import PoolSpec

PoolNamePrefix = Annotated[str, Field(min_length=1, max_length=20, pattern="^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]


class AutoPool(Model):
    """The pool of one job, or of all jobs of a schedule: made with the first one, deleted at the end."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "has(self.autoPoolNamePrefix) == has(oldSelf.autoPoolNamePrefix)"
                " && (!has(self.autoPoolNamePrefix) || self.autoPoolNamePrefix == oldSelf.autoPoolNamePrefix)",
                "autoPoolNamePrefix cannot change",
            ),
            rule("self.poolLifetime == oldSelf.poolLifetime", "poolLifetime cannot change"),
        )
    )
    auto_pool_name_prefix: PoolNamePrefix | None = Field(
        default=None, description="How the pool's name begins; the name of the job, or of the schedule, by default."
    )
    pool_lifetime: Literal["Job", "JobSchedule"] = Field(
        default="Job",
        description="Job: the pool is there as long as the job is active. JobSchedule: all jobs of the schedule share it.",
    )
    keep_alive: bool = Field(
        default=False, description="Whether the pool stays when its lifetime is over; then it has no owner."
    )
    template: PoolSpec = Field(
        description="The spec of the pool, as it is made. Later changes of it here reach no pool that is there."
    )


class SchedulingError(Model):
    """Why a job could not be scheduled. Source: REST reference, JobSchedulingError."""

    category: Annotated[str, Field(max_length=32)] = Field(description="UserError or ServerError.")
    code: Annotated[str, Field(max_length=64)] = Field(description="Azure's code.")
    message: Annotated[str, Field(max_length=4096)] = Field(default="", description="A sentence.")
