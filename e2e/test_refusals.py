"""Stories of bad input: it is refused where it is applied, with a sentence that names the field."""

import pytest

from e2e.stories import KubectlError, Manifest, Namespace, job, pool, sh, task


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        pytest.param(
            pool(image="x", template={"spec": {}}), "exactly one of image and template", id="image and template"
        ),
        pytest.param(pool(slots=257), "taskSlotsPerNode", id="too many slots"),
        pytest.param(pool("a.b"), "no dots", id="a dot in a pool's name"),
        pytest.param(pool(drainTimeout="soon"), "drainTimeout", id="a duration that is none"),
        pytest.param(pool(hostNetwork=True), "unknown field", id="a field that there is not"),
        pytest.param(pool(startTask={}), "exactly one of command and commandLine", id="a start task without a command"),
        pytest.param(job("j", priority=1001), "priority", id="too high a priority"),
        pytest.param(job("j", [sh("a", "true"), sh("a", "false")]), "Duplicate", id="one id twice"),
        pytest.param(task("j", "t"), "exactly one of command and commandLine", id="a task without a command"),
        pytest.param(
            task("j", "t", command=["true"], env=[{"name": "AZ_BATCH_JOB_ID", "value": "x"}]),
            "set by the system",
            id="a variable of the system's",
        ),
    ],
)
def test_a_bad_object_is_refused_with_a_sentence(space: Namespace, bad: Manifest, sentence: str) -> None:
    if "template" in bad["spec"]:
        bad = {
            **bad,
            "spec": {
                **bad["spec"],
                "image": "x",
                "template": {"spec": {"containers": [{"name": "task", "image": "x"}]}},
            },
        }
    with pytest.raises(KubectlError, match=sentence):
        space.apply(bad)


def test_what_may_not_change_is_refused(space: Namespace) -> None:
    space.apply(job("fixed", [sh("a", "true")], pool_name="none"))
    with pytest.raises(KubectlError, match="poolName cannot change"):
        space.apply(job("fixed", [sh("a", "true")], pool_name="other"))
    with pytest.raises(KubectlError, match="only be added at the end"):
        space.apply(job("fixed", [sh("b", "true"), sh("a", "true")], pool_name="none"))
    space.apply(job("fixed", [sh("a", "true"), sh("b", "true")], pool_name="none"))
