"""Run BLIP-2's language model one token at a time for many captions: on a GPU as one recorded graph of kernels.

Tokens are chosen in nucleus.py, images are read in blip2_captioner.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_N_WARM = 2  # runs before recording, in which libraries allocate their workspaces


class Steps:
    """Keys and values of a number of captions in memory of a fixed size, and the step that adds a token to each.

    A step of OPT-6.7B has some 700 kernels. Launched one by one from Python they took 33 ms for 80 captions on an H200;
    recorded once and launched as one graph, 7.5 ms, of which 3 ms are spent reading the weights.
    """

    def __init__(self, language: Any, cache: Any, n_copies: int, n_places: int) -> None:
        """Copy the cache of each image for its captions.

        Args:
            language: transformers' language model.
            cache: keys and values of [n_images, …].
            n_copies: captions per image.
            n_places: tokens of an image and its longest caption.
        """
        import torch
        from transformers import StaticCache

        self._language, self._n_copies, self._n_places = language, n_copies, n_places
        fixed: Any = StaticCache(config=language.config, max_cache_len=n_places)
        self._cache = fixed
        for layer, read in zip(self._cache.layers, cache.layers, strict=True):
            keys, values = (found.repeat_interleave(n_copies, dim=0) for found in (read.keys, read.values))
            layer.lazy_initialization(keys, values)
        self._tokens = torch.zeros((self.n_rows, 1), dtype=torch.int64, device=self._keys.device)
        self._places = torch.arange(n_places, device=self._keys.device)
        self._graph: torch.cuda.CUDAGraph | None = None
        self._logits: torch.Tensor | None = None
        self.restart(cache)

    @property
    def n_rows(self) -> int:
        """Number of captions in the batch."""
        return len(self._keys)

    @property
    def can_shrink(self) -> bool:
        """False if the step is a recorded graph, whose sizes are fixed."""
        return bool(self._keys.device.type == "cpu")

    def fits(self, cache: Any, n_copies: int, n_places: int) -> bool:
        """Return whether other images can replace these."""
        wanted = (len(cache.layers[0].keys) * n_copies, n_copies, n_places)
        return wanted == (self.n_rows, self._n_copies, self._n_places)

    def restart(self, cache: Any) -> None:
        """Start again with the cache of the same number of images."""
        for layer, read in zip(self._cache.layers, cache.layers, strict=True):
            for ours, theirs in ((layer.keys, read.keys), (layer.values, read.values)):
                n_read = theirs.shape[2]
                ours[:, :, :n_read] = theirs.repeat_interleave(self._n_copies, dim=0)
                ours[:, :, n_read:] = 0  # they have weight 0, but 0 times NaN is NaN
            layer.cumulative_length.fill_(read.keys.shape[2])

    def keep(self, rows: torch.Tensor) -> None:
        """Continue with only some captions; requires `can_shrink`."""
        for layer in self._cache.layers:
            layer.keys, layer.values = layer.keys[rows], layer.values[rows]

    def advance(self, tokens: torch.Tensor) -> torch.Tensor:
        """Add a token to each caption and return the logits of the next one, [n_rows, vocabulary].

        The next step overwrites them.

        Args:
            tokens: int64 [n_rows].
        """
        if self.can_shrink:
            self._tokens = tokens[:, None]
            return self._step()
        self._tokens.copy_(tokens[:, None])
        if self._graph is None:
            self._record()
        assert self._graph is not None and self._logits is not None
        self._graph.replay()
        return self._logits

    @property
    def _keys(self) -> Any:
        return self._cache.layers[0].keys

    def _step(self) -> torch.Tensor:
        n_seen = self._cache.layers[0].cumulative_length  # incremented by the step itself
        is_seen = (self._places <= n_seen).expand(self.n_rows, 1, 1, self._n_places)
        logits: torch.Tensor = self._language(
            input_ids=self._tokens,
            position_ids=n_seen.expand(self.n_rows, 1).clone(),
            attention_mask=is_seen,
            past_key_values=self._cache,
            use_cache=True,
        ).logits[:, -1]
        return logits

    def _record(self) -> None:
        import torch

        n_seen = [int(layer.cumulative_length) for layer in self._cache.layers]
        with _unchecked(), torch.cuda.device(self._keys.device):
            aside: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                for _ in range(_N_WARM):
                    self._step()
                    self._recount(n_seen)
            torch.cuda.current_stream().wait_stream(aside)
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):
                self._logits = self._step()
        self._recount(n_seen)

    def _recount(self, n_seen: list[int]) -> None:
        for layer, n in zip(self._cache.layers, n_seen, strict=True):
            layer.cumulative_length.fill_(n)


@contextmanager
def _unchecked() -> Iterator[None]:
    """Write keys and values with the fast kernel; every one has its own position, so the order does not matter."""
    import torch

    mode = torch.get_deterministic_debug_mode()
    torch.set_deterministic_debug_mode("default")
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(mode)
