"""A job's record as one node follows it: read block by block, and read again where the chain was reorganised."""

from __future__ import annotations

from protocol.chain.events import Event, events
from protocol.errors import ChainError
from protocol.node.watch import ChainWatch
from protocol.record import JobRecord


class JobHistory:
    """``record`` says what the events up to block ``read_to`` say."""

    def __init__(self, watch: ChainWatch, job_id: int) -> None:
        self.watch, self.job_id = watch, job_id
        self._start()
        self._reorganisations = len(watch.reorganisations)

    def _start(self) -> None:
        self.record = JobRecord(self.job_id)
        self.read_to = self.watch.chain.deployment.block - 1
        self._events: list[Event] = []

    @property
    def newest_block(self) -> int:
        """The block of the newest event."""
        return self._events[-1].block if self._events else self.read_to

    def read(self) -> None:
        """Reads what is new, and takes back what a reorganisation replaced.

        Raises ChainError when the node left events out; then all are read again the next time.
        """
        head = self.watch.head()
        self._rewind()
        if head <= self.read_to:
            return
        # All of them before the first is applied: an event that is applied twice counts an update twice.
        news = list(
            events(
                self.watch.chain,
                "TrainingJobs",
                from_block=self.read_to + 1,
                to_block=head,
                jobId=self.job_id,
            )
        )
        self._apply(news)
        self.read_to = head

    def _rewind(self) -> None:
        """Takes back what came after the deepest fork of the reorganisations that are new."""
        new = self.watch.reorganisations[self._reorganisations :]
        self._reorganisations += len(new)
        fork = min((each.fork for each in new), default=self.read_to)
        if fork >= self.read_to:
            return
        kept = [event for event in self._events if event.block <= fork]
        self._start()
        self._apply(kept)
        self.read_to = fork

    def _apply(self, news: list[Event]) -> None:
        try:
            self.record.apply(news)
        except ChainError:
            self._start()
            raise
        self._events += news
