"""One resource of an API server, listed and watched for as long as srv6kv runs.

A watch resumes where the last one ended; a list is asked for when that is not possible, when one
list missed what another had (``known``), or when the caller asks for one.

A watch lasts 5 to 10 minutes, as those of other clients. A server that lives sends a bookmark on it
about every minute, so one that has been silent for longer is renewed where it stood: its connection
may be dead.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Mapping
from typing import Protocol

import msgspec

from srv6kv.etcd.backoff import Backoff
from srv6kv.kube.model import Identity
from srv6kv.sources import pace
from srv6kv.sources.api import Answer, ApiError, ApiServer, OnAnswer, Silent
from srv6kv.sources.bodies import PAGE_ITEMS, BadBody, Failed, Resource, event_of, page_of
from srv6kv.sources.known import Known, Listed
from srv6kv.sources.pace import Pace

log = logging.getLogger("srv6kv")

Objects = Mapping[Identity, msgspec.Raw | None]
"""What came or changed, as raw JSON; None: it is gone."""

GONE = 410
TOO_MANY = 429
WATCH_SECONDS = (300, 600)
SHORT_WATCH_SECONDS = 19.0
"""A watch that ended sooner may be the first that is seen of an outage."""
WATCH_SILENCE_SECONDS = 90.0
"""Longer than bookmarks are apart: a minute, and a second or two of jitter."""
LIST_AGAIN_SECONDS = 1.0
LIST_BEHIND_SECONDS = 10.0
LOOK_BACK_SECONDS = 300.0
"""Without a connection that broke, watches on which nothing at all comes are no reason to ask for
the server's version more often."""
MOST_FAILED_WATCHES = 3
"""After so many that the server refused, a list is due."""
AWAY_STATUSES = (0, 502, 503, 504)
"""No answer, or that of a proxy which has none."""
DENIALS = (401, 403)
STARTING_SECONDS = 10.0
"""A server that has just started denies everything until it has read its rules."""


class Sink(Protocol):
    """Receives what happens to a resource; called by its thread."""

    def listed(self, kind: str, number: int, objects: Objects, unnamed: int) -> None:
        """A complete list that was asked for after ``relist(number)``."""

    def changed(self, kind: str, objects: Objects) -> None:
        """A watch has seen changes."""

    def trouble(self, kind: str, error: ApiError | None, *, is_denied: bool = False) -> None:
        """The server does not answer, or denies this for longer than one that starts; None: it
        does."""

    def crashed(self, error: Exception) -> None:
        """A thread has ended that should not."""


def complete_list(
    api: ApiServer, resource: Resource, on_answer: OnAnswer, *, in_pages: bool = True
) -> Listed:
    """All objects of a resource, as the server has them when it is asked; ApiError if a page did
    not come, or does not fit the others."""
    items: dict[Identity, msgspec.Raw] = {}
    unnamed, version, rest = 0, "", ""
    while True:
        answer = api.get(
            resource.url(limit=PAGE_ITEMS if in_pages else "", **{"continue": rest}), on_answer
        )
        with answer:
            body = answer.whole()
        try:
            page = page_of(body, resource)
        except BadBody as error:
            raise ApiError(f"{answer.what}: {error}") from None
        if version not in ("", page.version):
            raise ApiError(f"{answer.what}: pages of different resource versions")
        items.update(page.items)
        unnamed, version, rest = unnamed + page.unnamed, page.version, page.rest
        if not rest:
            return Listed(version, items, unnamed)


class Follower:
    """A thread that follows one resource."""

    def __init__(self, api: ApiServer, resource: Resource, shared: Pace, sink: Sink) -> None:
        self._api = api
        self._resource = resource
        self._pace = shared
        self._sink = sink
        self._known = Known()
        self._requested = 1
        self._listed = 0
        self._backoff = Backoff(2 * pace.REQUEST_SECONDS)
        self._refusals = 0
        self._denied: float | None = None
        self._is_renewal = False
        self._in_pages = True
        self._looked = float("-inf")
        self._list_ended = float("-inf")
        self._is_stopped = False
        self._reading: Answer | None = None
        self._watching: Answer | None = None
        name = f"srv6kv-{resource.plural}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin with a list."""
        self._thread.start()

    def relist(self, number: int) -> None:
        """List everything again, now; from any thread."""
        self._requested = number
        if (answer := self._watching) is not None:
            answer.interrupt()

    def stop(self) -> None:
        """End soon; from any thread."""
        self._is_stopped = True
        if (answer := self._reading) is not None:
            answer.interrupt()

    def join(self, seconds: float) -> None:
        """Wait until the thread has ended, but no longer than that."""
        self._thread.join(seconds)

    def _run(self) -> None:
        try:
            while not self._is_stopped:
                try:
                    if self._is_list_due:
                        self._list()
                    else:
                        self._watch()
                except ApiError as error:
                    if not self._is_stopped:
                        self._failed(error)
        except Exception as error:  # a thread that dies in silence would freeze the cluster
            self._sink.crashed(error)

    @property
    def _is_list_due(self) -> bool:
        known = self._known
        return not known.version or bool(known.missing) or self._is_requested

    @property
    def _is_requested(self) -> bool:
        """Whether a list was asked for that is newer than the last."""
        return self._listed < self._requested

    def _reads(self, answer: Answer) -> None:
        self._reading = answer
        if self._is_stopped:
            answer.interrupt()

    def _watches(self, answer: Answer) -> None:
        self._reads(answer)
        self._watching = answer
        if self._is_requested:
            answer.interrupt()

    def _failed(self, error: ApiError) -> None:
        log.debug("%s", error)
        self._looked = float("-inf")
        left = self._still_starting(error)
        is_away = left > 0 or error.status in AWAY_STATUSES
        self._pace.failed(is_away=is_away)
        if left <= 0:
            is_denied = error.status in DENIALS
            self._sink.trouble(self._resource.kind, error, is_denied=is_denied)
        most = pace.AWAY_BACKOFF_SECONDS if is_away else pace.MOST_BACKOFF_SECONDS
        wait = self._backoff.failed(most, asked=error.retry_after)
        wait = min(wait, left) if left > 0 else wait
        if self._pace.rest(wait, ends_early=not error.retry_after):
            self._backoff.reset()
            self._is_renewal = False

    def _still_starting(self, error: ApiError) -> float:
        """For how many seconds more a denial may be one of a server that starts."""
        if error.status not in DENIALS:
            return 0.0
        now = time.monotonic()
        self._denied = now if self._denied is None else self._denied
        return self._denied + STARTING_SECONDS - now

    def _rest(self) -> None:
        self._pace.rest(self._backoff.failed(pace.MOST_BACKOFF_SECONDS))

    def _list(self) -> None:
        number = self._requested
        if self._known.missing:
            behind = self._known.is_behind
            self._pace.rest(LIST_BEHIND_SECONDS if behind else LIST_AGAIN_SECONDS)
        elif time.monotonic() < self._list_ended + LIST_AGAIN_SECONDS and not self._is_requested:
            self._rest()  # a watch that is of no use right after a list is so again, most likely
        if not self._pace.wait():
            return
        asked = time.monotonic()
        try:
            found = complete_list(self._api, self._resource, self._reads, in_pages=self._in_pages)
            self._in_pages = True
        except ApiError as error:
            # The pages' version is compacted: all in one answer cannot get too old.
            self._in_pages = error.status != GONE
            raise
        self._pace.answered()
        gone = self._known.apply_list(found, asked)
        self._listed, self._list_ended = number, time.monotonic()
        self._is_renewal = False
        objects = {**found.items, **dict.fromkeys(gone)}
        self._sink.listed(self._resource.kind, number, objects, found.unnamed)

    def _watch(self) -> None:
        """One watch, from a request to its end; the next one resumes where it ends."""
        if not self._pace.wait(is_renewal=self._is_renewal):
            return
        self._is_renewal = True
        path = self._resource.url(
            watch=1,
            allowWatchBookmarks="true",
            resourceVersion=self._known.version,
            timeoutSeconds=random.randint(*WATCH_SECONDS),
        )
        try:
            answer = self._api.get(path, self._watches, silence=WATCH_SILENCE_SECONDS)
        except ApiError as error:
            self._refused(error, error.status)
            return
        with answer:
            self._pace.answered()
            self._denied = None
            self._sink.trouble(self._resource.kind, None)
            try:
                self._read(answer)
            except BadBody as error:
                self._refused(ApiError(f"{answer.what}: {error}"), 1)
            except Failed as error:
                self._refused(ApiError(f"{answer.what}: {error}"), error.code or 1)
            finally:
                self._watching = None

    def _refused(self, error: ApiError, code: int) -> None:
        """A watch is not given or has failed; ``code`` as in HTTP, 0: there was no answer."""
        if self._is_list_due:
            return
        if code == GONE:
            self._known.version = ""
            if not self._pace.answers:  # the failures so far are those of an outage that is over
                self._backoff.reset()
                self._pace.answered()
            return
        self._refusals += code not in (0, TOO_MANY)
        if self._refusals >= MOST_FAILED_WATCHES:
            self._refusals = 0
            self._known.version = ""
        raise error

    def _read(self, answer: Answer) -> None:
        """Apply what a watch reports, until it ends; BadBody or Failed if that is no event."""
        started = time.monotonic()
        has_seen, is_cut = False, False
        try:
            for lines in answer.lines():
                has_seen = True
                self._apply(lines)
                self._backoff.reset()
                self._refusals = 0
        except Silent as error:
            log.debug("%s", error)
        except ApiError as error:
            is_cut = True
            log.debug("%s", error)
        if self._is_list_due or self._is_stopped:
            return
        if is_cut or time.monotonic() - started < SHORT_WATCH_SECONDS:
            self._looked = float("-inf")
            self._pace.suspect()
            if not has_seen:
                self._rest()
        elif not has_seen:
            self._look_back()

    def _apply(self, lines: list[bytes]) -> None:
        changes: dict[Identity, msgspec.Raw | None] = {}
        try:
            for line in lines:
                event = event_of(line, self._resource)
                is_there = event.body is not None
                if not self._known.apply_event(event.version, event.identity, is_there=is_there):
                    raise BadBody(f"the resource version went back to {event.version}")
                if event.identity is not None:
                    changes[event.identity] = event.body
        finally:
            if changes:
                self._sink.changed(self._resource.kind, changes)

    def _look_back(self) -> None:
        """A server that was restored sends nothing on a watch that begins in its future."""
        if time.monotonic() < self._looked + LOOK_BACK_SECONDS:
            return
        self._looked = time.monotonic()
        if not self._pace.wait(is_renewal=True):
            return
        answer = self._api.get(self._resource.url(limit=1), self._reads)
        with answer:
            body = answer.whole()
        try:
            self._known.apply_current(page_of(body, self._resource).version)
        except BadBody as error:
            raise ApiError(f"{answer.what}: {error}") from None
