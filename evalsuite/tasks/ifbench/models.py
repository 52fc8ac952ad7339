"""Loads NLTK's English models: three resources of nltk_data from disk. Nothing is downloaded."""

import json
import os
import sys
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from evalsuite.errors import BadInput
from evalsuite.sandbox.archives import check_ratio

RESOURCES = {
    "tokenizers/punkt_tab": tuple(
        f"english/{name}" for name in ("abbrev_types.txt", "collocations.tab", "ortho_context.tab", "sent_starters.txt")
    ),
    "corpora/stopwords": ("english",),
    "taggers/averaged_perceptron_tagger_eng": tuple(
        f"averaged_perceptron_tagger_eng.{name}.json" for name in ("weights", "tagdict", "classes")
    ),
}
"""Folder (or zip file) below an nltk_data folder -> the files in it that are read."""


@dataclass(frozen=True, slots=True, eq=False)
class Language:
    """The loaded models."""

    punkt: Any
    """NLTK's ``PunktSentenceTokenizer``; only its decision on one possible sentence end is used."""
    tokenizer: Any
    """NLTK's ``NLTKWordTokenizer``."""
    tagger: Any
    """NLTK's ``PerceptronTagger``."""
    stopwords: frozenset[str]
    """English stop words."""
    ends: Any
    """Pattern of a possible sentence end with the text after it."""
    letters: Any
    """Pattern of a run of letters, digits, underscores and (in NLTK's engine) combining marks."""
    closers: Any
    """Pattern of closing quotes and brackets that belong to the sentence before."""


def check(folder: str | None, fetched: str | None = None) -> None:
    """Raise ``BadInput`` naming the resource when one of NLTK's three is missing or lacks a file, or is a zip with a
    damaged list of files; what the files hold is not read.

    ``folder`` is searched alone; when None, ``NLTK_DATA``, ``fetched`` (what ``fetch`` wrote) and NLTK's own folders.
    """
    for name in RESOURCES:
        _resource_path(name, folder, fetched)


@cache
def load(folder: str | None, fetched: str | None = None) -> Language:
    """Load the language models from ``folder``; None searches ``NLTK_DATA``, ``fetched`` and then NLTK's own folders.

    ``fetched`` is where ``fetch`` wrote NLTK's data (None: nowhere). Cached per process and arguments. Raises
    ``BadInput`` when a resource is missing, or cannot be read or parsed.
    """
    import regex  # NLTK's own engine, without its wall-clock limit
    from nltk.tag.perceptron import PerceptronTagger
    from nltk.tokenize import punkt
    from nltk.tokenize.destructive import NLTKWordTokenizer

    tables = {name: _texts(name, folder, fetched) for name in RESOURCES}
    abbreviations, collocations, contexts, starters = tables["tokenizers/punkt_tab"]
    try:
        parameters = punkt.PunktParameters()
        parameters.abbrev_types = set(_lines(abbreviations))
        parameters.collocations = {tuple(line.split("\t")) for line in _lines(collocations)}
        parameters.sent_starters = set(_lines(starters))
        pairs = (line.split("\t") for line in _lines(contexts))
        parameters.ortho_context.update({word: int(flags) for word, flags in pairs})
        tagger = PerceptronTagger(load=False)
        tagger.decode_json_params([json.loads(text) for text in tables["taggers/averaged_perceptron_tagger_eng"]])
    except ValueError as error:
        raise BadInput(f"an NLTK resource of {folder or 'NLTK_DATA'} is damaged: {error}; download it again") from None
    splitter = punkt.PunktSentenceTokenizer(parameters)
    variables = punkt.PunktLanguageVars()
    return Language(
        punkt=splitter,
        tokenizer=NLTKWordTokenizer(),
        tagger=tagger,
        stopwords=frozenset(_lines(tables["corpora/stopwords"][0])),
        letters=regex.compile(r"\w+"),
        ends=regex.compile(variables.period_context_re().pattern, regex.UNICODE | regex.VERBOSE),
        closers=regex.compile(variables.re_boundary_realignment.pattern, regex.MULTILINE),
    )


def _roots(folder: str | None, fetched: str | None) -> list[str]:
    """Return the folders that are searched for NLTK's data, in order: ``folder`` alone, or if
    None ``NLTK_DATA`` and others.

    The others are ``fetched`` (None: left out) and NLTK's own folders below home, Python's prefix and ``/usr``.
    """
    if folder is not None:
        return [folder]
    given = [root for root in os.environ.get("NLTK_DATA", "").split(os.pathsep) if root]
    home = os.path.expanduser("~")  # noqa: PTH111  # never fails
    places = [home, *(f"{sys.prefix}{part}" for part in ("", "/share", "/lib"))]
    places += [f"/usr/{part}" for part in ("share", "local/share", "lib", "local/lib")]
    return list(dict.fromkeys([*given, *([fetched] if fetched else []), *(f"{place}/nltk_data" for place in places)]))


def _resource_path(name: str, folder: str | None, fetched: str | None) -> Path | zipfile.Path:
    """Return the path of a resource (``tokenizers/punkt_tab``; a folder or a zip) in the first
    folder that has all its files.

    Folders as in ``_roots``. A file ``.zip`` that is no zip is passed over. Raises ``BadInput`` when none has it, and
    at a zip whose list of entries is damaged or that unpacks to too much.
    """
    roots = _roots(folder, fetched)
    for root in roots:
        packed = Path(root) / f"{name}.zip"
        places: list[Path | zipfile.Path] = [Path(root) / name]
        if packed.is_file() and zipfile.is_zipfile(packed):
            check_ratio(packed)
            places.append(zipfile.Path(packed, f"{name.rpartition('/')[2]}/"))
        for place in places:
            if all((place / file).is_file() for file in RESOURCES[name]):
                return place
    names = " ".join(resource.rpartition("/")[2] for resource in RESOURCES)
    raise BadInput(
        f"ifbench grades with the NLTK resource {name}, which is not there, or not whole, in "
        f"{', '.join(roots) or 'any folder'}: `evalsuite fetch task=ifbench to=DIR` and data.root=DIR, or "
        f"`python -m nltk.downloader -d DIR {names}` and NLTK_DATA=DIR or tasks.ifbench.options.nltk_data=DIR"
    )


def _texts(name: str, folder: str | None, fetched: str | None) -> list[str]:
    place = _resource_path(name, folder, fetched)
    try:
        return [(place / file).read_text(encoding="utf-8") for file in RESOURCES[name]]
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise BadInput(f"the NLTK resource {place} cannot be read: {error}") from None


def _lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if line]
