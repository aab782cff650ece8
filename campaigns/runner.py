"""Running a campaign: each policy on each system, as many episodes as the file says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from campaigns.building import Builder
from campaigns.campaign_file import CampaignFile
from campaigns.ending import End
from campaigns.environment import Environment
from campaigns.episode import EpisodeRun, Key, Progress, in_thread
from campaigns.errors import Fault, NotAcceptable
from campaigns.evaluate import Evaluate
from campaigns.folder import CampaignFolder, CampaignRecord, digest_of
from campaigns.llm.access import LanguageAccess
from campaigns.policy import Policy
from campaigns.sharing import Sharing

PACKAGES = ("md-director", "numpy", "hydra-core", "omegaconf", "pymatgen", "smact", "scikit-learn", "rdkit", "tblite")


@dataclass
class Result:
    """What came of a campaign.

    Attributes:
        ended: How each episode ended.
    """

    ended: dict[str, End] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether every episode ended by its goal, its budget, or since nothing was left to try."""
        return all(end.ended not in ("failures", "no_candidates") for end in self.ended.values())


def components(
    campaign: CampaignFile,
    system: str,
    policy: str,
    number: int,
    language: LanguageAccess | None = None,
    base: Path | None = None,
) -> tuple[Environment[Any], Policy[Any]]:
    """Makes the environment and the policy of one episode.

    Args:
        campaign: The campaign.
        system: Name of the system.
        policy: Name of the policy.
        number: Which episode, from 1.
        language: Where language models are; None: nowhere.
        base: Folder of the campaign file, where relative paths start; None: the working directory.

    Raises:
        NotAcceptable: If one of them cannot be made; it says where and why.
    """
    builder = Builder(campaign.modules, campaign.seed, system, number, language, base)
    tree = campaign.tree(system, policy)
    environment = builder.build(tree["environment"], "environment")
    made = builder.build(tree["policy"], "policy", campaign.place(policy))
    faults = [*_lacks(environment, "environment", Environment), *_lacks(made, campaign.place(policy), Policy)]
    if faults:
        raise NotAcceptable(faults)
    return environment, made


def _lacks(made: object, place: str, wanted: type[Any]) -> Iterator[Fault]:
    methods = {Environment: ("request", "observe", "to_json", "from_json"), Policy: ("propose", "observe")}[wanted]
    missing = [name for name in methods if not callable(getattr(made, name, None))]
    if missing:
        message = f"{type(made).__name__} is no {wanted.__name__.lower()}: it has no {' and no '.join(missing)}"
        yield Fault(place, message, f"Name a component that is: see campaigns.{wanted.__name__}")


def check_components(campaign: CampaignFile, language: LanguageAccess | None = None, base: Path | None = None) -> str:
    """Makes all components once, so that what is wrong is known before anything starts. Blocks.

    Args:
        campaign: The campaign.
        language: Where language models are; None: nowhere.
        base: See `components`.

    Returns:
        What the campaign looks for: what the file says, or else what its environment says.

    Raises:
        NotAcceptable: With everything that is wrong.
    """
    faults: dict[Fault, None] = {}
    goal = campaign.goal
    for system in campaign.system_names:
        for policy in campaign.names:
            try:
                environment, _ = components(campaign, system, policy, 1, language, base)
                goal = goal or environment.goal
            except NotAcceptable as refusal:
                faults |= dict.fromkeys(refusal.faults)
    if faults:
        raise NotAcceptable(faults)
    return goal


def new_record(campaign: CampaignFile, source: str = "", overrides: tuple[str, ...] = ()) -> CampaignRecord:
    """What is written down of a campaign that begins here and now."""
    return CampaignRecord(
        campaign=campaign,
        source=source,
        overrides=list(overrides),
        created_at=datetime.now(UTC).isoformat(),
        versions=dict(_versions()),
    )


def _versions() -> Iterator[tuple[str, str]]:
    for package in PACKAGES:
        try:
            yield package, version(package)
        except PackageNotFoundError:
            continue


class Runner:
    """Runs a campaign in its folder; what was done before is not done again.

    The caller holds the folder; see `campaigns.folder.Held`.

    Args:
        campaign: The campaign.
        folder: Its folder.
        evaluate: Runs simulations.
        tell: Told how far each episode is.
        language: Where language models are; None: nowhere.
        base: Folder of the campaign file; see `components`.
    """

    def __init__(
        self,
        campaign: CampaignFile,
        folder: Path | str,
        evaluate: Evaluate,
        tell: Callable[[Progress], None] = lambda _: None,
        language: LanguageAccess | None = None,
        base: Path | None = None,
    ) -> None:
        self._base = base
        self._campaign = campaign
        self._place = CampaignFolder(Path(folder))
        self._evaluate = evaluate
        self._tell = tell
        self._language = language and language.anew()

    async def run(self) -> Result:
        """Runs all episodes, as many at once as the file says; the first of each policy before the second of any.

        Raises:
            NotAcceptable: If a component cannot be made, or a record is damaged.
            RuntimeError: If a component does what it must not, or those who run simulations are gone.
            OSError: If the folder cannot be written.
        """
        result = Result()
        sharing = Sharing(self._evaluate)
        keys = iter(episode_keys(self._campaign))
        workers = [
            asyncio.create_task(self._work(keys, sharing, result), name="episodes")
            for _ in range(self._campaign.at_once)
        ]
        try:
            # Unlike `gather`, this lets go at once when it is cancelled: an episode ends only when the thread ends that
            # waits for a language model, and that has to be told first.
            await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            if self._language is not None:
                self._language.cancel()
            for worker in workers:
                worker.cancel()
            ends = await asyncio.gather(*workers, return_exceptions=True)
            await sharing.close()
        for end in ends:
            if isinstance(end, BaseException) and not isinstance(end, asyncio.CancelledError):
                raise end
        return result

    async def _work(self, keys: Iterator[Key], sharing: Sharing, result: Result) -> None:
        for key in keys:
            environment, policy = await in_thread(
                components, self._campaign, key.system, key.policy, key.number, self._language, self._base
            )
            folder = self._place.episode(key.system, key.policy, key.number)
            episode = EpisodeRun(
                key, self._campaign, environment, policy, folder, self._place.inputs, sharing.open(), self._tell
            )
            result.ended[str(key)] = await episode.run()


def episode_keys(campaign: CampaignFile) -> list[Key]:
    """All episodes in the order in which they begin: the first of each system and policy, then the second. Pure."""
    digest = digest_of(campaign.identity)
    return [
        Key(digest, system, policy, number)
        for number in range(1, campaign.episodes + 1)
        for system in campaign.system_names
        for policy in campaign.names
    ]


def run_campaign(
    campaign: CampaignFile,
    folder: Path | str,
    evaluate: Evaluate,
    tell: Callable[[Progress], None] = lambda _: None,
    language: LanguageAccess | None = None,
) -> Mapping[str, End]:
    """Runs a campaign to its end, for scripts and tests; makes its folder if it is new. Blocks.

    Raises:
        NotAcceptable: If something in it is not acceptable, or the folder is another campaign's.
    """
    from campaigns.folder import Held, check_same

    place = CampaignFolder(Path(folder))
    with Held(place):
        if place.record_file.exists():
            check_same(place.read().campaign, campaign, str(folder))
        else:
            check_components(campaign, language)
            place.create(new_record(campaign))
        return asyncio.run(_through(Runner(campaign, folder, evaluate, tell, language), evaluate)).ended


async def _through(runner: Runner, evaluate: Evaluate) -> Result:
    try:
        return await runner.run()
    finally:
        await evaluate.close()
