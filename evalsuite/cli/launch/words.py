"""The command lines of jobs: one per model, with the share of an endpoint's limit that each may use."""

from collections.abc import Mapping, Sequence

from evalsuite.config.address import shown_urls
from evalsuite.config.settings import DEMO, Run

Words = tuple[str, ...]
"""Words of a command line after ``evalsuite run``."""


def per_model(words: Sequence[str], models: Sequence[str]) -> dict[str, Words]:
    """Model -> its command line: the same words without ``launch=``, ``launch.KEY=``, ``model=``,
    ``models.OTHER.KEY=`` and ``server@models.OTHER.server=`` of the other models, with ``model=NAME`` at the end.
    """
    jobs: dict[str, Words] = {}
    for name in models:
        others = tuple(f"{kind}models.{other}." for other in models if other != name for kind in ("", "server@"))
        kept = [word for word in words if not word.lstrip("+~").startswith((*others, "model=", "launch=", "launch."))]
        jobs[name] = (*kept, f"model={name}")
    return jobs


def shares(runs: Mapping[str, Run], jobs_at_once: int) -> dict[str, Words]:
    """Job -> words to add, so that jobs which run at the same time keep an endpoint's limit together; each job of
    ``runs`` is there, often without any word.

    ``runs``: job -> its settings. A word is ``models.NAME.concurrency=N``, N being the model's limit divided by the
    models of all jobs at its address (at most ``jobs_at_once``, 1 or more), at least 1; demo models and those that are
    alone there get none.
    """
    users: dict[str, list[str]] = {}
    for job, run in runs.items():
        for model in run.models.values():
            users.setdefault(str(model.base_url), []).append(job)
    added: dict[str, Words] = {}
    for job, run in runs.items():
        limits = []
        for name, model in run.models.items():
            together = min(len(users[str(model.base_url)]), jobs_at_once)
            if together > 1 and model.base_url != DEMO:
                limits.append(f"models.{name}.concurrency={max(1, model.concurrency // together)}")
        added[job] = tuple(limits)
    return added


def secret_words(words: Sequence[str]) -> list[str]:
    """Keys of ``KEY=VALUE`` words that may hold a secret, which must not be written into a job file.

    These are headers, and addresses with a user, a password or a query.
    """
    keys = {word: word.partition("=")[0] for word in words}
    return [
        key for word, key in keys.items() if ".headers." in key or key.endswith(".headers") or shown_urls(word) != word
    ]
