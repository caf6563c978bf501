"""One InfluxDB server, through its client library: writes that are confirmed when they return, and raw answers.

Nothing is batched, retried or remembered here: what the server has not confirmed is still noted in the site database,
and is sent again from there.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from typing import TypeVar

import structlog
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.domain.dialect import Dialect
from influxdb_client.rest import ApiException
from influxdb_client.service.write_service import WriteService
from urllib3.exceptions import HTTPError

from headend.config import InfluxSettings
from headend.errors import StoreAway, StoreBroken

log = structlog.get_logger(__name__)

#: What a query may be given beside its text.
Parameter = str | int | datetime

S = TypeVar("S")
T = TypeVar("T")

# Times as text and a line of names for each kind of table, nothing else.
_CSV = Dialect(header=True, delimiter=",", annotations=[], comment_prefix="#", date_time_format="RFC3339")
# The fastest level: on a link slow enough to want gzip at all, line protocol shrinks tenfold by it.
_GZIP_LEVEL, _GZIP = 1, zlib.MAX_WBITS | 16
# The server had the points and did not like them: the same ones will never do.
_REFUSED = {400, 413, 422}
_LONGEST_SAYING = 300


class Influx:
    """Open until `close`; many threads may use it."""

    def __init__(self, settings: InfluxSettings) -> None:
        self.settings = settings
        self.url = settings.url.rstrip("/")
        self._client = InfluxDBClient(
            self.url,
            token=settings.token,
            org=settings.org,
            timeout=round(settings.timeout_s * 1_000),
            retries=False,
            connection_pool_maxsize=settings.connections + 1,
        )
        self._writes = WriteService(self._client.api_client)
        self._queries = self._client.query_api()
        self._deletes = self._client.delete_api()
        self._threads = ThreadPoolExecutor(settings.connections, thread_name_prefix="influx")

    def close(self) -> None:
        """Give back all connections, after the requests at hand."""
        self._threads.shutdown(cancel_futures=True)
        self._client.close()

    def write(self, bucket: str, bodies: Iterable[bytes]) -> None:
        """Write bodies of line protocol with times in seconds, some at a time; they are all there when this returns.

        Raises `StoreAway` where one was not confirmed, `StoreBroken` where the server will never take one; of the
        others, some may be there. No request is under way any more then.
        """
        for _ in self.side_by_side(lambda body: self._write(bucket, body), bodies):
            pass

    def query(self, flux: str, params: Mapping[str, Parameter]) -> bytes:
        """The whole answer to a Flux query as CSV; its text names `params`, which go beside it. Raises `StoreAway`."""
        with self._saying_who():
            answer = self._queries.query_raw(flux, dialect=_CSV, params=dict(params))
            try:
                return bytes(answer.data)
            finally:
                answer.release_conn()

    def delete(self, bucket: str, start: datetime, last: datetime, predicate: str) -> None:
        """Delete the points from `start` to `last` that the predicate names. Raises `StoreAway`."""
        with self._saying_who():
            self._deletes.delete(start, last, predicate, bucket)

    @contextmanager
    def client(self) -> Iterator[InfluxDBClient]:
        """The client itself, for what is rarely done; what goes wrong becomes `StoreAway`."""
        with self._saying_who():
            yield self._client

    def side_by_side(self, work: Callable[[S], T], items: Iterable[S]) -> Iterator[T]:
        """What becomes of the items, in their order, as many at a time as there are connections.

        Items are drawn while others are at work, and no more than that are kept. When one fails, the rest is not begun
        and what was begun is waited for.
        """
        rest = iter(items)
        begun: list[Future[T]] = []
        try:
            while True:
                room = self.settings.connections + 1 - len(begun)
                begun += [self._threads.submit(work, item) for item in islice(rest, room)]
                if not begun:
                    return
                yield begun.pop(0).result()
        finally:
            for one in begun:
                one.cancel()
            for one in begun:
                if not one.cancelled():
                    one.exception()

    def _write(self, bucket: str, body: bytes) -> None:
        how = {"precision": "s", "content_type": "text/plain; charset=utf-8"}
        if self.settings.gzip:
            body, how["content_encoding"] = zlib.compress(body, _GZIP_LEVEL, _GZIP), "gzip"
        with self._saying_who():
            try:
                self._writes.post_write(self.settings.org, bucket, body, **how)
            except ApiException as error:
                if _only_too_old(error):  # what the bucket keeps is there
                    log.warning("some of what was sent is older than InfluxDB keeps it", said=_said(error))
                elif error.status in _REFUSED:
                    raise StoreBroken(f"InfluxDB at {self.url} refuses what was sent: {_said(error)}") from error
                else:
                    raise

    @contextmanager
    def _saying_who(self) -> Iterator[None]:
        """What goes wrong, as ours, in one line with the server's address."""
        try:
            yield
        except ApiException as error:
            raise StoreAway(f"InfluxDB at {self.url}: {_said(error)}") from error
        except (HTTPError, OSError) as error:
            raise StoreAway(f"InfluxDB at {self.url} does not answer: {_one_line(str(error))}") from error


def _only_too_old(error: ApiException) -> bool:
    said = _said(error)
    return error.status == 422 and "outside retention policy" in said


def _said(error: ApiException) -> str:
    return _one_line(f"{error.status or ''} {error.reason or ''}: {error.message}")


def _one_line(text: str) -> str:
    return " ".join(text.split())[:_LONGEST_SAYING]
