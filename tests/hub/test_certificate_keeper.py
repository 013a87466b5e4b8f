"""The keeper: it waits for a first certificate, tells of changes alone, and trouble leaves everything as it was."""

import pytest

from batchpools.hub.ca_store import CertificateError
from batchpools.hub.certificate_keeper import CertificateKeeper, looks_every
from batchpools.hub.certificates import Issued
from batchpools.hub.shown import Shown
from batchpools.kube.errors import KubeError, UnreachableError

ONE, OTHER = (Shown(name, Issued(name, ""), Issued(name, "")) for name in ("one", "other"))


class Script:
    """A source that answers as it is told, and a pause that ends the play with the script."""

    def __init__(self, *answers: Shown | CertificateError | KubeError) -> None:
        self.answers = list(answers)
        self.pauses: list[float] = []

    async def look(self) -> Shown:
        answer = self.answers.pop(0)
        if isinstance(answer, Shown):
            return answer
        raise answer

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        if not self.answers:
            raise EOFError


def keeper(script: Script, told: list[Shown]) -> CertificateKeeper:
    return CertificateKeeper(script, 7.0, told.append, script.pause)


async def test_it_starts_when_there_is_something_to_show_and_says_once_what_is_in_the_way(
    caplog: pytest.LogCaptureFixture,
) -> None:
    missing = CertificateError("it is not there yet")
    told: list[Shown] = []
    script = Script(missing, missing, UnreachableError("refused"), ONE)
    one = keeper(script, told)
    assert one.bundle == ""
    await one.start()
    assert (told, script.pauses, one.bundle) == ([ONE], [1.0] * 3, "one")
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == ["it is not there yet", "refused"]


async def test_it_tells_of_changes_and_of_nothing_else() -> None:
    told: list[Shown] = []
    script = Script(ONE, ONE, UnreachableError("refused"), ONE, OTHER, OTHER)
    one = keeper(script, told)
    await one.start()
    with pytest.raises(EOFError):
        await one.run()
    assert told == [ONE, OTHER]
    assert set(script.pauses) == {7.0}


@pytest.mark.parametrize(
    ("spread", "life", "every"), [(300, 7776000, 30), (60, 7776000, 15), (300, 60, 5), (1.0, 3600, 0.25)]
)
def test_it_looks_often_enough_for_both(spread: float, life: float, every: float) -> None:
    assert looks_every(spread, life) == every
