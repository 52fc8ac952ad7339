"""How a benchmark is measured in two models, and the standard errors of the delta that follow from it."""

from dataclasses import dataclass
from math import sqrt

from evalsuite.stats.delta import sources_resolution


@dataclass(frozen=True, slots=True)
class Design:
    """How one benchmark is measured in both models."""

    answers: float
    """Number of independent answers in one repeat of all items (the number of items when each is one answer)."""
    units: float
    """Number of independent units of true change: items, or sources when items share one."""
    score: float
    """Expected score mu, a fraction."""
    phi: float
    """Fraction of mu (1 - mu) that is random variation within items: 0 when every item is always answered equally, 1
    when every item has the same chance."""
    tau: float
    """Standard deviation over items of the true change, a fraction."""
    repeats_base: int
    """Repeats of each item in the baseline."""
    repeats_cand: int
    """Repeats of each item in the candidate."""
    sources: float | None = None
    """Number of sources that the items share (clusters); None when items share none."""
    few_items: bool = False
    """Whether the answers are those of two to ``delta.FEW_ITEMS`` - 1 independent items of equal weight: chances of
    verdicts are then simulated (``few_items.comparisons``)."""

    @property
    def within(self) -> float:
        """Variance v of one answer around its item's own chance: phi mu (1 - mu), a fraction squared.

        mu is the expected score, phi the share of mu (1 - mu) that varies between answers to the same item.
        """
        return self.phi * self.score * (1 - self.score)

    @property
    def floor(self) -> float:
        """Lower limit of the delta's standard error for any number of repeats: tau / sqrt(units), a fraction.

        tau is the standard deviation over items of the true change.
        """
        return self.tau / sqrt(self.units)

    @property
    def stderr(self) -> float:
        """Standard error of the delta for questions like these (items as a sample of their kind), a fraction."""
        return sqrt(self.floor**2 + self.stderr_exact**2)

    @property
    def stderr_exact(self) -> float:
        """Standard error of the delta for exactly these questions (without tau), a fraction."""
        return sqrt(self.within / self.answers * (1 / self.repeats_base + 1 / self.repeats_cand))

    def resolution(self, alpha: float) -> float:
        """Compute the smallest loss that the sources can exclude.

        Args:
            alpha: One-sided error, a fraction.

        Returns:
            The loss, a fraction of 1; 0 where items share no sources.
        """
        return 0.0 if self.sources is None else sources_resolution(self.sources, alpha)
