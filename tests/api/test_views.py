"""The two families of models say the same: every field of a pydantic model is a field of its view, and the other way round."""

import msgspec
import pytest
from pydantic import BaseModel

from batchpools.api import (
    application_package,
    auto_pool,
    common,
    job,
    job_schedule,
    pool,
    poolnode,
    references,
    task,
    task_logs,
    upgrade_policy,
)
from batchpools.core import views

PAIRS: list[tuple[type[BaseModel], type[msgspec.Struct]]] = [
    (pool.PoolSpec, views.PoolSpec),
    (pool.PoolStatus, views.PoolStatus),
    (pool.StartTask, views.StartTask),
    (pool.TaskSchedulingPolicy, views.TaskSchedulingPolicy),
    (upgrade_policy.UpgradePolicy, views.UpgradePolicy),
    (task_logs.TaskLogs, views.TaskLogs),
    (references.CertificateReference, views.CertificateReference),
    (common.EnvVar, views.EnvVar),
    (common.EnvVarSource, views.EnvVarSource),
    (common.KeyReference, views.KeyReference),
    (pool.ResizeError, views.ResizeError),
    (pool.SlotCounts, views.SlotCounts),
    (pool.AutoScale, views.AutoScale),
    (pool.AutoScaleRun, views.AutoScaleRun),
    (pool.AutoScaleError, views.AutoScaleError),
    (pool.NameValue, views.NameValue),
    (poolnode.PoolNodeSpec, views.PoolNodeSpec),
    (poolnode.PoolNodeStatus, views.PoolNodeStatus),
    (poolnode.StartTaskInfo, views.StartTaskInfo),
    (poolnode.NodeError, views.NodeError),
    (job.JobSpec, views.JobSpec),
    (job.JobStatus, views.JobStatus),
    (auto_pool.AutoPool, views.AutoPool),
    (auto_pool.SchedulingError, views.SchedulingError),
    (job.InlineTask, views.InlineTask),
    (job.JobManagerTask, views.JobManagerTask),
    (job.Terminate, views.Terminate),
    (job.JobConstraints, views.JobConstraints),
    (job.TaskCounts, views.TaskCounts),
    (job_schedule.Schedule, views.Schedule),
    (job_schedule.JobTemplateMetadata, views.JobTemplateMetadata),
    (job_schedule.JobTemplate, views.JobTemplate),
    (job_schedule.JobScheduleSpec, views.JobScheduleSpec),
    (job_schedule.JobScheduleStatus, views.JobScheduleStatus),
    (application_package.PackageVersion, views.PackageVersion),
    (application_package.ApplicationPackageSpec, views.ApplicationPackageSpec),
    (application_package.PackageVersionStatus, views.PackageVersionStatus),
    (application_package.ApplicationPackageStatus, views.ApplicationPackageStatus),
    (references.ApplicationPackageReference, views.ApplicationPackageReference),
    (task.TaskSpec, views.TaskSpec),
    (task.TaskStatus, views.TaskStatus),
    (task.TaskConstraints, views.TaskConstraints),
    (task.TaskStats, views.TaskStats),
]


@pytest.mark.parametrize(("model", "view"), PAIRS, ids=lambda one: one.__name__)
def test_a_model_and_its_view_have_the_same_fields(model: type[BaseModel], view: type[msgspec.Struct]) -> None:
    written = {field.alias for field in model.model_fields.values()}
    read = {field.encode_name for field in msgspec.structs.fields(view)}
    assert written == read


def test_defaults_of_scalars_agree() -> None:
    for model, view in PAIRS:
        defaults = {field.encode_name: field.default for field in msgspec.structs.fields(view) if not field.required}
        for field in model.model_fields.values():
            assert field.alias is not None
            if isinstance(field.default, bool | int | str) and field.alias in defaults:
                assert defaults[field.alias] == field.default, f"{model.__name__}.{field.alias}"
