"""Decides a task's environment: AZ_BATCH_* over the user's, `$(NAME)` expanded (Azure Batch, runtime environment variables)."""

from collections.abc import Mapping, Sequence

from batchpools.api import names
from batchpools.core.identity import NO_ELEMENT, ExecutionId
from batchpools.core.node_config import NodeConfig
from batchpools.core.node_variables import node_variables
from batchpools.core.packages.places import package_variables
from batchpools.core.tasks.command import expand_all, expand_environment
from batchpools.link.messages import Run


def own_variables(config: NodeConfig) -> dict[str, str]:
    """What every command on this node sees."""
    certificates = {"AZ_BATCH_CERTIFICATES_DIR": names.CERTIFICATES_DIR} if config.certificates else {}
    own = node_variables(config.namespace, config.pool, config.node, dedicated=config.dedicated)
    return {**own, **certificates, **package_variables(config.packages)}


def task_variables(config: NodeConfig, run: Run) -> dict[str, str]:
    """What one run sees beside the node's."""
    return {
        **own_variables(config),
        **directory_variables(run.directory),
        "AZ_BATCH_JOB_ID": run.job,
        "AZ_BATCH_TASK_ID": run.task,
        "AZ_BATCH_TASK_EXECUTION_ID": run.execution_id,
    }


def log_name(run: Run) -> str:
    """What stands before the lines of a run in the container's log: `<job>/<task>[index]#attempt`."""
    execution = ExecutionId.parse(run.execution_id)
    index = "" if execution.element == NO_ELEMENT else f"[{execution.element}]"
    return f"{run.job}/{run.task}{index}#{execution.attempt}"


def directory_variables(directory: str) -> dict[str, str]:
    """Where a command runs; HOME and TMPDIR lie in its own directory."""
    whole = f"{names.NODE_ROOT_DIR}/{directory}"
    wd = f"{whole}/wd"
    return {
        "AZ_BATCH_TASK_DIR": whole,
        "AZ_BATCH_TASK_WORKING_DIR": wd,
        "HOME": wd,
        "TMPDIR": f"{whole}/tmp",  # noqa: S108 (the task's own)
    }


def resolve(
    argv: Sequence[str],
    user: Sequence[str],
    system: Mapping[str, str],
    container: Sequence[str],
    given: Mapping[str, str | None] | None = None,
) -> tuple[list[str], list[str]]:
    """(argv, NAME=value pairs to lay over the container's): system beats user beats container; references are expanded.

    given: by name, values of the user's variables that were read on the node.


    ValueError with a sentence when too much comes of them.
    """
    base = dict(pair.partition("=")[::2] for pair in container)
    complete = {**expand_environment({**base, **system}, user, given), **system}
    overlay = {name: value for name, value in complete.items() if base.get(name) != value}
    return expand_all(argv, complete), [f"{name}={value}" for name, value in overlay.items()]
