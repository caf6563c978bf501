"""What happens by itself: days are settled when they are due and looked through for anomalies, gateways are asked for
what is missing, tomorrow's prices are fetched, last month's cycle is rated when its day has come, and what is older
than it is to be kept is deleted.

The jobs look at the site's clock each time they run, so that nothing is lost by being late and nothing is done twice by
being early.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, date

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from headend.billing.due import due_cycles
from headend.billing.run import rate_cycle
from headend.collect.pricefeed import Feed
from headend.errors import BillingConflict, InvalidInput, PublisherAway, StoreAway
from headend.monitor.gaps import ask_for_gaps
from headend.monitor.lag import behind
from headend.office import office_of
from headend.process.accruing import update_accruals
from headend.process.published import fetch_day, lacks, wanted_days
from headend.process.reopening import horizon
from headend.process.retention import forget_old
from headend.process.settlement import settle_due_days, settle_open_days
from headend.process.watch import watch
from headend.site import Site

log = structlog.get_logger(__name__)

#: So often it is looked whether a day began on which something is to be deleted.
_FORGET_EVERY_S = 3_600
#: And whether reads came of which what accounts cost so far knows nothing.
_ACCRUE_EVERY_S = 60


class Jobs:
    """The scheduler, from `start` to `stop`: one job at a time."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._forgotten_on: date | None = None
        self._accrued_on: date | None = None
        self._settled_until: int | None = None
        self._watched_until: int | None = None
        self._asked_in_vain: dict[str, date] = {}
        # That a job still runs when its time comes again is no news: it looks at the clock when it is next run.
        logging.getLogger("apscheduler.scheduler").setLevel(logging.ERROR)
        # Cron and stored jobs are not needed: each job asks the clock what is due.
        self._scheduler = BackgroundScheduler(timezone=UTC, executors={"default": ThreadPoolExecutor(1)})
        settings = site.settings.jobs
        for job, every_s in (
            (self.settle, settings.settle_every_s),
            (self.watch, settings.settle_every_s),
            (self.backfill, settings.backfill_every_s),
            (self.prices, settings.prices_every_s),
            (self.bill, settings.bill_every_s),
            (self.accrue, _ACCRUE_EVERY_S),
            (self.forget, _FORGET_EVERY_S),
        ):
            self._scheduler.add_job(_guarded(job), "interval", seconds=every_s, coalesce=True, misfire_grace_time=None)

    def start(self) -> None:
        """Begin; the first run comes after one interval."""
        self._scheduler.start()

    def stop(self) -> None:
        """Finish the job at hand."""
        self._scheduler.shutdown(wait=True)

    def settle(self) -> None:
        """Close the days that are due, unless the journal holds reads for them that are not in the store yet."""
        if self._intake_is_behind("settlement"):
            return
        end_day = horizon(self._site)
        # Of which days nothing came, only the end of a day changes.
        is_new = end_day != self._settled_until
        counts = settle_due_days(self._site) if is_new else settle_open_days(self._site)
        if not counts.waiting:
            self._settled_until = end_day
        if counts.channel_days:
            log.info("days settled", channel_days=counts.channel_days, intervals_estimated=counts.estimated)
        if counts.waiting:
            log.warning("the interval store does not tell older days, settlement waits for it", channels=counts.waiting)

    def watch(self) -> None:
        """Once for each day that is due, look through the daily use of all channels."""
        site = self._site
        end_day = horizon(site)
        if end_day == self._watched_until or self._intake_is_behind("watch"):
            return
        if opened := watch(site, end_day):
            log.info("exceptions opened", exceptions=opened)
        self._watched_until = end_day

    def backfill(self) -> None:
        """Ask gateways for what did not come, unless it may be in the journal."""
        if self._intake_is_behind("backfill"):
            return
        if commands := ask_for_gaps(self._site):
            log.info("gateways asked for what is missing", commands=commands)

    def prices(self) -> None:
        """From the hour on at which tomorrow's prices are published, ask for them until they are there."""
        for feed in self._site.feeds:
            days = wanted_days(feed, self._site.clock())
            in_vain = self._asked_in_vain.get(feed.name)
            if in_vain is not None and in_vain <= days[0]:
                log.warning("prices did not come before their day began", series=feed.name, day=str(in_vain))
                del self._asked_in_vain[feed.name]
            if len(days) > 1:
                for day in days:
                    if lacks(self._site, feed, day):
                        self._fetch(feed, day)

    def _fetch(self, feed: Feed, day: date) -> None:
        try:
            came = fetch_day(self._site, feed, day, "scheduler")
        except (PublisherAway, InvalidInput) as error:
            log.warning("prices not fetched", series=feed.name, day=str(day), because=str(error))
        else:
            log.info("prices fetched", series=feed.name, day=str(day), new=came.new, changed=came.changed)
        if lacks(self._site, feed, day):
            self._asked_in_vain[feed.name] = day
        else:
            self._asked_in_vain.pop(feed.name, None)

    def bill(self) -> None:
        """Rate the periods that are over, and final bills, once their day has come; a clerk does the rest."""
        site, office = self._site, office_of(self._site)
        for due in due_cycles(office, site.settings.site.zone, site.settings.jobs.bill_on_day - 1):
            cycle_id = f"{due.period}/{due.name}"
            try:
                cycle = rate_cycle(office, due.period, due.name, "scheduler", due.scope)
            except BillingConflict as conflict:
                log.warning("cycle not rated", cycle=cycle_id, because=str(conflict))
            else:
                log.info("cycle rated", cycle=cycle_id, billed=cycle.totals.billed, excepted=cycle.totals.excepted)

    def accrue(self) -> None:
        """What accounts cost so far follows their reads; once a day, that of all of them follows the day."""
        today = self._site.clock().astimezone(self._site.settings.site.zone).date()
        updated = update_accruals(office_of(self._site), everybody=today != self._accrued_on)
        self._accrued_on = today
        if updated.accruals:
            log.info("accruals updated", accruals=updated.accruals, meter_days=updated.reads_of)

    def forget(self) -> None:
        """Once a day, delete what is older than it is to be kept."""
        today = self._site.clock().date()
        if today == self._forgotten_on:
            return
        if forgotten := forget_old(self._site):
            log.info("what was kept long enough is deleted", **forgotten)
        self._forgotten_on = today

    def _intake_is_behind(self, job: str) -> bool:
        site = self._site
        with site.database.read() as tx:
            lag = behind(tx, site)
        if lag is not None:
            log.info("waits for intake", job=job, messages_behind=lag.messages, since=lag.since)
        return lag is not None


def _guarded(job: Callable[[], None]) -> Callable[[], None]:
    """A job that failed says so and is tried again next time."""

    def run() -> None:
        try:
            job()
        except StoreAway as away:
            log.warning("job waits for the interval store", job=job.__name__, because=str(away))
        except Exception as error:
            log.exception("job failed", job=job.__name__, error=str(error))

    return run
