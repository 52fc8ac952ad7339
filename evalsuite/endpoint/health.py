"""Counts of an endpoint's replies and faults during a run, and the warnings that follow from them."""

from dataclasses import dataclass

from evalsuite.records import Reply

GARBLED_SHARE = 0.01
"""Share of requests without a readable reply above which the server is taken to speak another protocol."""
GARBLED_LEAST = 5
SILENT_SHARE = 0.02
"""Share of replies with reasoning and no answer above which the server's reasoning parser is the likely cause."""
LEAST = 5
"""Replies of a kind below which there is no warning."""


@dataclass(slots=True)
class EndpointHealth:
    """Counts over all cells of one endpoint."""

    replies: int = 0
    silent: int = 0
    """Finished, with reasoning and without an answer."""
    empty: int = 0
    """Finished without a single token, also when sent again."""
    uncounted: int = 0
    """Without token counts."""
    garbled: int = 0
    """Requests without a readable reply after all retries."""
    slow: int = 0
    """Requests that reached the time limit."""
    outages: int = 0

    def answered(self, reply: Reply) -> None:
        """Count a whole reply: its number, whether it lacks the count of generated tokens, whether it ended by itself
        with reasoning but neither an answer nor a tool call."""
        self.replies += 1
        self.uncounted += reply.usage.completion_tokens is None
        self.silent += bool(
            reply.reasoning and not reply.text.strip() and not reply.tool_calls and reply.finish_reason == "stop"
        )

    @property
    def other_protocol(self) -> bool:
        """Whether at least 5 requests, and more than 1 % of the replies and them, had no readable reply, as with a
        server that speaks another protocol."""
        total = self.replies + self.garbled
        return self.garbled >= GARBLED_LEAST and self.garbled > GARBLED_SHARE * total

    def flags(self) -> tuple[str, ...]:
        """Warnings about the scores of this endpoint, one sentence each; empty if no count calls for one."""
        found = []
        if self.silent >= LEAST and self.silent > SILENT_SHARE * self.replies:
            found.append(
                f"{self.silent} of {self.replies} replies thought but said nothing: "
                "look at the server's reasoning parser before this is taken for the model's fault"
            )
        if self.empty:
            found.append(f"{self.empty} replies had no token at all, three times in a row; they count as no answer")
        if self.uncounted:
            found.append(
                f"{self.uncounted} of {self.replies} replies came without token counts: "
                "a cap that the server does not report would not show"
            )
        if self.slow:
            found.append(
                f"{self.slow} questions took longer than one request may (their token cap at a quarter of the slowest "
                "rate, or engine.total_seconds): the endpoint is too slow; they are not asked until an answer is short"
            )
        if self.outages:
            found.append(f"the endpoint was away {self.outages} times and came back")
        return tuple(found)
