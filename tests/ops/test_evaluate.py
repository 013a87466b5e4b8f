"""`pools/evaluate`: a formula is tried on the leader, whoever is asked; what cannot be tried gets a sentence."""

from datetime import UTC, datetime

from tests.ops.stage import BASE, Stage

from batchpools.core.views import AutoScaleRun

PATH = f"{BASE}/namespaces/default/pools/demo/evaluate"
AT = datetime(2026, 1, 1, tzinfo=UTC)


def teach(stage: Stage) -> list[tuple[str, str, str]]:
    asked: list[tuple[str, str, str]] = []

    def evaluate(namespace: str, name: str, formula: str) -> AutoScaleRun | None:
        asked.append((namespace, name, formula))
        return AutoScaleRun(timestamp=AT, formula=formula or "own", results="a=1") if name == "demo" else None

    stage.server.evaluate = evaluate
    return asked


async def test_the_pools_own_formula_or_one_that_is_given(stage: Stage) -> None:
    asked = teach(stage)
    async with stage.client() as client:
        told = await (await client.post(PATH)).json()
        assert told == {"timestamp": "2026-01-01T00:00:00Z", "formula": "own", "results": "a=1"}
        assert (await client.post(PATH, json={"formula": "a = 1" + " " * 8000})).status == 200
    assert [formula[:5] for _, _, formula in asked] == ["", "a = 1"]


async def test_what_cannot_be_tried_gets_a_sentence(stage: Stage) -> None:
    teach(stage)
    async with stage.client() as client:
        for body in (
            b"a = 1",
            b'{"formula": 1}',
            b'{"formulas": ""}',
            b"\xff",
            b'{"formula": "' + b"x" * 70_000 + b'"}',
        ):
            answer = await client.post(PATH, data=body)
            assert (answer.status, (await answer.json())["reason"]) == (400, "BadRequest"), body[:20]
        gone = await client.post(PATH.replace("demo", "nowhere"))
        assert (gone.status, (await gone.json())["message"]) == (404, "Pool 'nowhere' is not in namespace 'default'.")
        stage.server.evaluate = lambda *_: AutoScaleRun()
        none = await client.post(PATH)
        assert (none.status, (await none.json())["reason"]) == (409, "Conflict")
        assert (await client.get(PATH)).status == 405


async def test_only_the_api_server_may_ask(stage: Stage) -> None:
    asked = teach(stage)
    async with stage.client("") as client:
        assert (await client.post(PATH)).status == 401
    assert asked == []
