"""What happens to application packages of a pool. One function an act, as in `acts`; only histories with packages have them."""

from collections.abc import Callable

from batchpools.kube.resources import APPLICATION_PACKAGES
from batchpools.testing.object_rules import Object
from batchpools.testing.simulation import workload
from batchpools.testing.simulation.stage import Act, Stage, ask
from batchpools.testing.simulation.workload import NAMESPACE, PACKAGE

_REFERENCES: tuple[list[Object], ...] = (
    [{"name": PACKAGE}],
    [{"name": PACKAGE, "version": "2"}],
    [],
    [{"name": PACKAGE}, {"name": PACKAGE, "version": "1"}],
)


def refer(stage: Stage, choice: int = 0) -> bool:
    """The pool names packages, or none."""
    return stage.change_pool(applicationPackageReferences=_REFERENCES[choice % len(_REFERENCES)])


def _change_references(stage: Stage, act: Act) -> bool:
    return refer(stage, act.target)


def _change_package(stage: Stage, act: Act) -> bool:
    """Other archives, and another default version."""
    kube = stage.world.kube
    if kube.object(APPLICATION_PACKAGES, NAMESPACE, PACKAGE) is None:
        return False
    operations = [{"op": "add", "path": "/spec", "value": workload.package(act.target)["spec"]}]
    ask(stage, lambda: kube.patch(APPLICATION_PACKAGES, NAMESPACE, PACKAGE, operations))
    return True


def _lose_package(stage: Stage, act: Act) -> bool:
    """Somebody deletes it, and makes it again after a while: pools wait for it."""
    item = stage.world.kube.object(APPLICATION_PACKAGES, NAMESPACE, PACKAGE)
    if item is None:
        return False
    stage.delete(APPLICATION_PACKAGES, item)
    stage.later(act.seconds / 4, lambda: _make(stage, act.target))
    return True


def _break_downloads(stage: Stage, act: Act) -> bool:
    """What archives come from is not there for a while: nodes that start are Unusable, and try again."""
    downloads = stage.world.downloads
    if downloads.is_down:
        return False
    downloads.is_down = True

    def heal() -> None:
        downloads.is_down = False

    stage.later(act.seconds, heal)
    return True


def calm_packages(stage: Stage) -> None:
    """In the end the package is there, and can be had."""
    stage.world.downloads.is_down = False
    _make(stage, 0)


def _make(stage: Stage, number: int) -> None:
    kube = stage.world.kube
    if not stage.is_over and kube.object(APPLICATION_PACKAGES, NAMESPACE, PACKAGE) is None:
        ask(stage, lambda: kube.create(APPLICATION_PACKAGES, NAMESPACE, workload.package(number)))


PACKAGE_ACTS: dict[str, Callable[[Stage, Act], bool]] = {
    "change-references": _change_references,
    "change-package": _change_package,
    "lose-package": _lose_package,
    "break-downloads": _break_downloads,
}
