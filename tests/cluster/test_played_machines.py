"""The bench's played kubelet repeats what it has to say, as a real one does."""

import asyncio
from collections.abc import Sequence

import pytest
from e2e.bench.fake_machines import until_done

from batchpools.kube.errors import ConflictError, KubeError, NotFoundError, ServerError, TooManyRequestsError
from batchpools.testing.virtual_time import run_virtual


@pytest.mark.parametrize(
    ("failures", "answer"),
    [
        ((), b"done"),
        ((ServerError("etcd is away", 500), TooManyRequestsError("later", 429)), b"done"),
        ((ServerError("etcd is away", 500), NotFoundError("no such pod", 404)), None),
        ((ConflictError("somebody else wrote", 409),), b"done"),
    ],
    ids=["at once", "the third time", "it is no more", "a conflict"],
)
def test_a_write_that_failed_is_made_again_until_it_is_done_or_there_is_nothing_to_write(
    failures: Sequence[KubeError], answer: bytes | None
) -> None:
    """Of 1,000 pods two were left: the only write of their end had failed."""
    coming = list(failures)

    async def call() -> bytes:
        if coming:
            raise coming.pop(0)
        return b"done"

    async def main(_: object) -> None:
        assert await until_done(call) == answer
        assert not coming

    run_virtual(main)


def test_an_answer_that_ends_it_is_told() -> None:
    async def call() -> bytes:
        raise ConflictError("another uid", 409)

    async def main(_: object) -> None:
        with pytest.raises(ConflictError):
            await until_done(call, but=ConflictError)

    run_virtual(main)


def test_it_is_given_up_by_nobody_but_who_cancels_it() -> None:
    async def call() -> bytes:
        raise ServerError("etcd is away", 500)

    async def main(_: object) -> None:
        asking = asyncio.create_task(until_done(call))
        await asyncio.sleep(3600)
        assert not asking.done()
        asking.cancel()

    run_virtual(main)
