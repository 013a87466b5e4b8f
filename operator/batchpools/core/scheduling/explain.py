"""Says why a waiting task waits: the same chain as the cycle's, with every refusal kept, and its place in the queue."""

from dataclasses import replace

from batchpools.api.reasons import Reason
from batchpools.core.ledger import Explanation
from batchpools.core.scheduling.book import PoolBook
from batchpools.core.scheduling.fit import CHECKS, Question, Refusal, room_refusals


def explain_waiting(question: Question, book: PoolBook | None, uid: str, state: str) -> Explanation:
    """The explanation of a task that does not run."""
    question = replace(question, behind=_is_behind(book, question.job_name, uid))
    refusals = [refusal for check in CHECKS if (refusal := check(question)) is not None]
    refusals += room_refusals(question)
    position, waiting = place_in_queue(book, question.job_name, uid)
    first = refusals[0] if refusals else Refusal(Reason.WAITING, "Its turn has not come yet.")
    told = tuple((refusal.node, refusal.sentence) for refusal in refusals)
    return Explanation(state, "", first.reason, first.sentence, position, waiting, told)


def _is_behind(book: PoolBook | None, job: str, uid: str) -> bool:
    own = book.job(job) if book is not None else None
    return own is not None and own.manager is not None and own.manager.uid != uid


def place_in_queue(book: PoolBook | None, job: str, uid: str) -> tuple[int, int]:
    """(1-based place, how many wait); (0, n) when the task is not in the queue.

    Jobs of higher priority come before; jobs of equal priority take turns, so each can be ahead by as many tasks
    as this one has before it.
    """
    if book is None:
        return 0, 0
    own = book.job(job)
    if own is None or uid not in own:
        return 0, len(book)
    before = own.ahead_of(uid)
    ahead = before
    for other in book.jobs():
        if other.priority > own.priority:
            ahead += len(other)
        elif other is not own and other.priority == own.priority:
            ahead += min(len(other), before + (other.turn < own.turn))
    return ahead + 1, len(book)
