"""Counts the tasks of a pool for autoscaling, from the book as it is. It decides nothing."""

from batchpools.controllers.task.book import RunBook
from batchpools.controllers.task.entry import PoolKey
from batchpools.core.ledger import PoolLoad


def load_of(book: RunBook, pool: PoolKey) -> PoolLoad:
    """What waits, what holds slots, what has ended. Tasks that may be running on a silent node count as running."""
    waiting = book.pool_book(pool)
    pages = book.nodes.of_pool(pool)
    held = [
        entry for entry in map(book.entries.get, book.held) if entry is not None and book.pool_of(entry.job_key) == pool
    ]
    ended = [book.tally.of(pool[0], job.metadata.name) for job in book.cache.jobs.indexed("by_pool", pool)]
    return PoolLoad(
        active=len(waiting) if waiting is not None else 0,
        active_slots=waiting.slots if waiting is not None else 0,
        running=sum(len(page.holding) for page in pages) + len(held),
        running_slots=sum(page.used for page in pages) + sum(entry.view.spec.required_slots for entry in held),
        succeeded=sum(counts.succeeded for counts in ended),
        failed=sum(counts.failed for counts in ended),
    )
