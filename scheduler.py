"""Composition root: builds the objects, gives the pipeline's methods to APScheduler, handles signals.

    python scheduler.py            the same as `bmn run`

APScheduler is the metronome alone: it beats every second and the stages ask the database what is due, so that nothing
is forgotten over a restart and ten thousand sources cost no more jobs than one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta

import uvloop
from apscheduler.executors.asyncio import AsyncIOExecutor
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from aggregator import __version__, status
from aggregator import config as configuration
from aggregator.callbacks import Callbacks
from aggregator.config import Config
from aggregator.config_secrets import revealed
from aggregator.daemon import Heartbeat, Log, Notifier, configure_logging, give_memory_back, log, settle
from aggregator.dashboard import Dashboard
from aggregator.desk import file_named
from aggregator.errors import AggregatorError, ConfigError, ListenError
from aggregator.pipeline import Pipeline, utc_now
from aggregator.publish.admin import AdminSite, AdminViews
from aggregator.publish.serve import Listener, beside, inherited_sockets, listen
from aggregator.publish.site import PublicSite
from aggregator.roles import Role

TICK = 1  # seconds between looks at what is due
EDIT = 2  # seconds between looks at what is ungrouped or unpublished
CLOCK = 30  # seconds between questions for the database's time
DRAIN = timedelta(seconds=6)  # of the ten that a service manager is promised
STALLED = timedelta(minutes=5)  # without progress of a stage the watchdog is fed no more


@dataclass(frozen=True, slots=True)
class Setting:
    """How to get the configuration, now and again at SIGHUP, and what of the whole this process does."""

    load: Callable[[], Config]
    notice: str = ""
    role: Role = Role.ALL
    public: str | None = None  # where to listen instead of `site.listen`
    admin: str | None = None  # … and of `admin.listen`


@dataclass(frozen=True, slots=True)
class Job:
    """A stage and its beat: APScheduler's arguments for an interval (`{"seconds": 2}`). A stage asks the database what
    is to be done, so that a beat may be missed and any process may take over."""

    name: str
    stage: Callable[[], Awaitable[object]]
    beat: Mapping[str, int]


OnReady = Callable[["Service"], Awaitable[None]]
Beside = Callable[[], AbstractAsyncContextManager[object]]


def run(setting: Setting, on_ready: OnReady | None = None, beside: Beside | None = None) -> int:
    """Run the daemon until SIGTERM or SIGINT; the exit code. ConfigError and StoreError come before anything began.

    `on_ready` is awaited once everything listens; `beside` is entered before and left after (the demo's newsroom).
    """
    config = setting.load()
    configure_logging(config.log.format, config.log.level)
    service = Service(setting, config, log(), Notifier())

    async def work() -> int:
        async with beside() if beside is not None else nullcontext():
            return await service.run(on_ready)

    return uvloop.run(work())


async def _tidy() -> None:
    await asyncio.to_thread(give_memory_back)


class Service:
    """One running daemon."""

    def __init__(
        self,
        setting: Setting,
        config: Config,
        logger: Log,
        notifier: Notifier,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        """`now` None: the clock that all processes share."""
        self._setting, self._config = setting, config
        self._log, self._notifier, self._now = logger, notifier, now
        self._stop = asyncio.Event()
        self._reload = asyncio.Event()
        self.listeners: dict[str, Listener] = {}  # public and admin, those that the role has
        self.pipeline: Pipeline
        self._began = utc_now()
        self._came_back: dict[str, datetime] = {}
        self._working: set[asyncio.Task[object]] = set()  # stages in the middle of something

    async def run(self, on_ready: OnReady | None = None) -> int:
        """Start, work, drain, stop."""
        self._handle_signals()
        config = self._config
        async with AsyncExitStack() as stack:
            opened = Pipeline.opened(
                config, self._log, now=self._now, notice=self._setting.notice, role=self._setting.role
            )
            self.pipeline = pipeline = await stack.enter_async_context(opened)
            await pipeline.publish()
            await self._listen(config, stack)
            beat = asyncio.create_task(self._heartbeat().run())
            stack.callback(beat.cancel)
            metronome = self._metronome(pipeline)
            settle()
            metronome.start()
            self._say_ready(config)
            if on_ready is not None:
                await on_ready(self)
            await self._until_stopped()
            self._notifier.stopping()
            self._log.info("stopping", polls_in_flight=pipeline.poller.in_flight)
            # APScheduler's executor would cancel running coroutines: pause it, let them end, then shut it down.
            metronome.pause()
            await asyncio.gather(pipeline.stop(DRAIN), self._finish_stages())
            metronome.shutdown(wait=False)
            for listener in self.listeners.values():
                await listener.stop()
        self._log.info("stopped")
        return 0

    # ------------------------------------------------------------ start

    async def _listen(self, config: Config, stack: AsyncExitStack) -> None:
        inherited = inherited_sockets(os.environ)
        pipeline, setting = self.pipeline, self._setting
        public = PublicSite(
            pipeline.publisher.shelf,
            pipeline.publisher.page,
            prefix=config.site.prefix,
            main_feed=config.feeds[0].slug if config.feeds else "news",
            hooks=Callbacks(
                pipeline.store,
                pipeline.database,
                pipeline.metrics,
                self._log,
                pipeline.now,
                max_body=lambda: pipeline.config.fetch.max_body,
            ),
            hub=pipeline.parts.reception,
        )
        dashboard = Dashboard(pipeline.store, lambda: pipeline.config, pipeline.now, f"http://{config.admin.listen}")
        views = AdminViews(
            metrics=lambda: status.exposed(pipeline.metrics, pipeline.store, pipeline.now()),
            ready=self._readiness,
            status=lambda: status.report(pipeline.store, pipeline.config, pipeline.now()),
            sources_opml=lambda: status.sources_opml(pipeline.config),
            stories=lambda section: status.desk_rows(pipeline.store, section),
            file=lambda ref, section: pipeline.database(file_named, pipeline.store, ref, section, pipeline.now()),
            board=dashboard.board,
            health=dashboard.feed,
        )
        token = revealed(config.admin.token)
        admin = AdminSite(views, pipeline.publisher.pages, token, config.admin.listen.host or "")
        if setting.role.serves:
            address = setting.public or str(config.site.listen)
            self.listeners["public"] = await listen(
                public, address, inherited.get("public", ()), public, counted=pipeline.metrics.answers.count
            )
            stack.push_async_callback(self.listeners["public"].stop)
        address = setting.admin or str(config.admin.listen)
        try:
            listener = await listen(admin, address, inherited.get("admin", ()), admin)
        except ListenError:
            # Of several processes on one machine the first has `admin.listen`, the others a port that their log names.
            if setting.role is Role.ALL or setting.admin is not None:
                raise
            listener = await listen(admin, beside(address), (), admin)
        self.listeners["admin"] = listener
        stack.push_async_callback(listener.stop)

    def _metronome(self, pipeline: Pipeline) -> AsyncIOScheduler:
        metronome = AsyncIOScheduler(
            executors={"default": AsyncIOExecutor()},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
            timezone="UTC",
        )
        for job in self._jobs(pipeline):
            metronome.add_job(self._guarded(job.name, job.stage), "interval", id=job.name, **job.beat)
        return metronome

    def _jobs(self, pipeline: Pipeline) -> list[Job]:
        """What this process does, by its role."""
        role = self._setting.role
        jobs = []
        if role.polls:
            jobs.append(Job("poll", pipeline.poll_due, {"seconds": TICK}))
            jobs.append(Job("push", pipeline.push_due, {"seconds": TICK}))
            jobs.append(Job("rediscover", pipeline.rediscover, {"minutes": 10, "jitter": 60}))
        if role.edits:
            jobs.append(Job("archive", self._if_editing(pipeline.archive), {"minutes": 10, "jitter": 60}))
            jobs.append(Job("announce", self._if_editing(pipeline.announce), {"seconds": TICK}))
            jobs.append(Job("brief", self._if_editing(pipeline.brief), {"seconds": 5}))
            jobs.append(Job("health", self._if_editing(pipeline.look_after), {"minutes": 5, "jitter": 10}))
            jobs.append(Job("prune", self._if_editing(pipeline.prune), {"hours": 6, "jitter": 600}))
        if role.edits or role.serves:
            jobs.append(Job("edit", self._edit, {"seconds": EDIT}))
        jobs.append(Job("tidy", _tidy, {"minutes": 1}))
        if not pipeline.store.is_sqlite:
            jobs.append(Job("clock", pipeline.set_clock, {"seconds": CLOCK}))
        return jobs

    async def _edit(self) -> None:
        if self._setting.role.edits:
            await self.pipeline.edit()
        await self.pipeline.publish()

    def _if_editing(self, stage: Callable[[], Awaitable[object]]) -> Callable[[], Awaitable[None]]:
        """The stage where this process has the editing; nothing while another has it."""

        async def once() -> None:
            if self.pipeline.is_editor:
                await stage()

        return once

    def _guarded(self, name: str, job: Callable[[], Awaitable[object]]) -> Callable[[], Awaitable[None]]:
        """The job with its failure logged here, once: the next beat tries again."""

        async def once() -> None:
            task = asyncio.current_task()
            assert task is not None
            self._working.add(task)
            try:
                await job()
                self._came_back[name] = utc_now()
            except AggregatorError as error:
                # It came back: a restart would not mend a database that is out of reach, and would end the serving.
                self._came_back[name] = utc_now()
                self._log.error("stage_failed", stage=name, error=str(error))
            except Exception as error:
                self._log.error("stage_failed", stage=name, error=repr(error), exc_info=True)
            except asyncio.CancelledError:
                if not self._stop.is_set():
                    raise
                self._log.warning("stage_cut_short", stage=name, remedy="what it left is done at the next start")
            finally:
                self._working.discard(task)

        return once

    async def _finish_stages(self) -> None:
        """Wait for the stages at work, as long as there is time for it."""
        if self._working:
            await asyncio.wait(self._working, timeout=DRAIN.total_seconds())

    def _say_ready(self, config: Config) -> None:
        files = " ".join(str(file) for file in config.files) or "packaged defaults"
        role, public = self._setting.role, self.listeners.get("public")
        self._log.info(
            "ready",
            version=__version__,
            role=str(role) if role is not Role.ALL else None,
            public=public.url if public else None,
            admin=self.listeners["admin"].url,
            sources=len(config.sources),
            database=self.pipeline.store.shown_url,
            config=files,
        )
        doing = f"serving {public.url}" if public else f"role {role}, admin {self.listeners['admin'].url}"
        self._notifier.ready(f"{len(config.sources)} sources, {doing}")

    # ------------------------------------------------------------ signals and life

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload.set)

    def stop(self) -> None:
        """As SIGTERM does."""
        self._stop.set()

    async def _until_stopped(self) -> None:
        stop = asyncio.create_task(self._stop.wait())
        while not self._stop.is_set():
            reload = asyncio.create_task(self._reload.wait())
            await asyncio.wait({stop, reload}, return_when=asyncio.FIRST_COMPLETED)
            reload.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reload
            if self._reload.is_set() and not self._stop.is_set():
                self._reload.clear()
                self._notifier.reloading()
                await self.reload()
                self._notifier.ready(f"{len(self._config.sources)} sources")
        stop.cancel()

    async def reload(self) -> bool:
        """Read the configuration again: all of it takes effect, or nothing and the log says why."""
        old = self._config
        try:
            new = await asyncio.get_running_loop().run_in_executor(None, self._setting.load)
            await self.pipeline.configure(new)
        except ConfigError as error:
            for problem in error.problems:
                self._log.error("reload_refused", problem=str(problem))
        except Exception as error:
            self._log.error("reload_failed", error=str(error))
            await self.pipeline.configure(old)
        else:
            needs_restart = [key for key in configuration.changed_keys(old, new) if configuration.needs_restart(key)]
            self._config = new
            configure_logging(new.log.format, new.log.level)
            self.pipeline.metrics.reloads.labels("applied").inc()
            self._log.info("reloaded", sources=len(new.sources), needs_restart=" ".join(needs_restart) or None)
            await self.pipeline.publish()
            return True
        self.pipeline.metrics.reloads.labels("refused").inc()
        return False

    def _heartbeat(self) -> Heartbeat:
        metrics = self.pipeline.metrics
        return Heartbeat(self._notifier, self._is_alive, metrics.loop_lag.set, self._summary)

    def _is_alive(self) -> bool:
        """Whether no stage hangs: each came back of late, be it with an error."""
        names = [job.name for job in self._jobs(self.pipeline) if job.name in _WATCHED]
        return all(utc_now() - self._came_back.get(name, self._began) <= STALLED for name in names)

    def _readiness(self) -> tuple[bool, str]:
        """Whether the stages progress, and what to say of it."""
        now, progress, role = utc_now(), self.pipeline.progress, self._setting.role
        stages = {"poll": role.polls, "group": role.edits, "publish": role.edits or role.serves}
        stalled = [
            stage for stage, is_ours in stages.items() if is_ours and now - progress.get(stage, self._began) > STALLED
        ]
        return (not stalled, "ok" if not stalled else f"no progress of: {', '.join(stalled)}")

    def _summary(self) -> str:
        totals = self.pipeline.poller.tally.totals
        return f"{totals.polled} polls, {totals.failed} failed, {totals.new_entries} new entries"


_WATCHED = ("poll", "edit")  # stages whose hanging a restart mends; pruning may take long


if __name__ == "__main__":
    from aggregator.cli import main

    sys.exit(main(["run", *sys.argv[1:]]))
