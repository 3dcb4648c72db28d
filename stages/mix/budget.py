"""Which samples go into the mix: as many as a budget of tokens holds, drawn fairly."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manifests import verdicts
from manifests.errors import RecipeError
from stages.base import Whole


@dataclass(frozen=True)
class FitBudget(Whole):
    """Rejects rows that are no sample, samples that no training sequence holds, and those over the budget.

    `budget_tokens` bounds the sum of visual and text tokens, 0 means no limit; `longest_tokens` is the length
    of a training sequence. Samples are taken in the order of a hash of `mix_seed` and id until one does not
    fit: another seed draws another mix, and with the same seed a larger budget takes all that a smaller one
    took.
    """

    reads = ("corpus", "kind", "visual_tokens", "text_tokens")

    budget_tokens: int = 0
    longest_tokens: int = 32_768
    mix_seed: int = 0

    def __post_init__(self) -> None:
        if self.budget_tokens < 0:
            raise RecipeError(f"mix.budget_tokens is {self.budget_tokens}, expected 0 (no limit) or more")
        if self.longest_tokens < 1:
            raise RecipeError(f"mix.longest_tokens is {self.longest_tokens}, expected at least 1")

    def run(self, rows: pa.Table) -> pa.Table:
        """Verdicts (`manifests.verdicts.SCHEMA`) of the rows that are left out of the mix, by id.

        `no_text`: the row has no text, so visual_tokens or text_tokens are null; `too_long`: together more
        than `longest_tokens`; `over_budget`. The order of the rows changes nothing.
        """
        tokens = pc.add(rows["visual_tokens"], rows["text_tokens"]).combine_chunks()
        known = tokens.is_valid().to_numpy(zero_copy_only=False)
        numbers = tokens.fill_null(0).to_numpy(zero_copy_only=False)
        fitting = np.flatnonzero(known & (numbers <= self.longest_tokens))
        reasons = np.full(len(rows), "too_long", object)
        reasons[~known] = "no_text"
        reasons[fitting] = None
        reasons[fitting[self._beyond(rows["id"].take(pa.array(fitting)), numbers[fitting])]] = "over_budget"
        return self._verdicts(rows["id"], pa.array(reasons, pa.string()), tokens)

    def _beyond(self, ids: pa.ChunkedArray, tokens: np.ndarray[tuple[int], np.dtype[np.int64]]) -> list[int]:
        """Places of the samples over the budget."""
        names = ids.to_pylist()
        order = sorted(range(len(names)), key=lambda place: self._draw(names[place]))
        used = np.cumsum(tokens[order])
        fits = (
            int(np.searchsorted(used, self.budget_tokens, side="right")) if self.budget_tokens else len(order)
        )
        return order[fits:]

    def _draw(self, id_: str) -> tuple[bytes, str]:
        return hashlib.sha256(f"{self.mix_seed} {id_}".encode()).digest(), id_

    def _verdicts(self, ids: pa.ChunkedArray, reasons: pa.Array, tokens: pa.Array) -> pa.Table:
        told = {
            "no_text": "neither a caption nor a source text",
            "too_long": f"tokens, of at most {self.longest_tokens} in a training sequence",
            "over_budget": f"tokens, beyond a budget of {self.budget_tokens}",
        }
        made = [
            {
                "id": id_,
                "step": "mix",
                "fate": "rejected",
                "reason": reason,
                "detail": told[reason] if number is None else f"{number} {told[reason]}",
            }
            for id_, reason, number in zip(
                ids.to_pylist(), reasons.to_pylist(), tokens.to_pylist(), strict=True
            )
            if reason is not None
        ]
        return pa.Table.from_pylist(made, schema=verdicts.SCHEMA).sort_by("id")
