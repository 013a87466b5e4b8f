"""One way to keep a state machine honest: a table of what may follow what; anything else raises with the story. Pure."""

from collections.abc import Mapping


class InvalidTransition(RuntimeError):  # noqa: N818 (a broken invariant, named for what happened)
    """A state was left for one that may not follow; `story` is what the object went through."""

    def __init__(self, what: str, start: str, finish: str, story: tuple[str, ...]) -> None:
        super().__init__(f"{what}: {start} → {finish} is not in the table; so far: {' → '.join(story)}")
        self.start = start
        self.finish = finish
        self.story = story


Table = Mapping[str, frozenset[str]]


def check(table: Table, what: str, start: str, finish: str, story: tuple[str, ...] = ()) -> None:
    """Raise InvalidTransition unless the table allows it."""
    if finish not in table[start]:
        raise InvalidTransition(what, start, finish, story)
