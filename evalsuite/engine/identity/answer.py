"""Reads the answer to the question that every server is asked before a run: a sick server answers it as it would answer
the benchmark's.
"""

import re
import unicodedata

from evalsuite.config.settings import Model
from evalsuite.endpoint.identity.identify import PROBE
from evalsuite.errors import EndpointUnusable
from evalsuite.records import Reply
from evalsuite.tasks.grading.degenerate import degenerate

_RIGHT = re.compile(r"(?<!\d)4(?!\d)|\bfour\b", re.IGNORECASE)
_EMBEDDED = "evalsuite/demo_"
"""Checkpoints of the embedded models, which know word problems only: of their answer only the signs count."""
_SHOWN = 80
"""Characters of an answer that a message quotes."""
_CAUSES = {
    "empty": "an empty answer",
    "thought_only": "{thought:,} characters of thinking and no text after them: the server's reasoning parser files "
    "the answer as thinking, or a stop string ended the thinking. Start it with the model's own parser, or without one",
    "loop": "one cycle repeated, {answer}: kernels that yield NaN, wrong scales, or another model's chat template",
    "call_as_text": "a tool call as text, {answer}: another model's chat template",
    "garbled": "garbled text, {answer}: a wrong tokenizer, or kernels that yield noise",
}


def check_answer(model: Model, reply: Reply) -> str:
    """Check that ``reply``, the answer to the test question, shows no sign of a sick server (empty, thinking alone, a
    loop, a tool call as text, garbled) and that its text names the number 4 (``four``).

    Of an embedded demo model only the signs count. Returns an empty text where the check is passed, or a note where
    there is no sign, but the answer was cut before it came to a text. Raises ``EndpointUnusable`` in all other cases,
    with what was seen and the setting that waives the check.
    """
    sign = degenerate(reply)
    if not sign and (
        model.checkpoint.startswith(_EMBEDDED) or _RIGHT.search(unicodedata.normalize("NFKC", reply.text))
    ):
        return ""
    if not sign and reply.truncated and not reply.text.strip():
        return f"the answer to the test question was cut inside the thinking ({len(reply.reasoning):,} characters)"
    answer = repr(reply.text.strip()[:_SHOWN] or reply.reasoning.strip()[:_SHOWN])
    seen = _CAUSES.get(sign, "{answer}").format(thought=len(reply.reasoning), answer=answer)
    raise EndpointUnusable(
        f'{model.base_url} answered the test question "{PROBE}" with {seen}. A run would score such answers as the '
        "model's. For a base model or one too small for the question: engine.probe_answer=false"
    )
