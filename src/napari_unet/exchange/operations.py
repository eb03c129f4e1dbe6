"""How images become a network's input, as operations of bioimage.io and as a rule of ours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.config import Preprocessing
from napari_unet.config.preprocessing import Statistic

Floats = NDArray[np.float64]
EPSILON = 1e-4
"""What an operation may add to a divisor without being noticed; nothing is added here."""


def write_operations(rule: Preprocessing) -> list[dict[str, Any]]:
    """Return what a rule does to gray values; bright-field images are left as they are.

    Parameters
    ----------
    rule : Preprocessing
        Of a model.

    Returns
    -------
    list of dict
        Operations of bioimage.io, for a tensor with the axes batch, channel, y, x.
    """
    steps: list[dict[str, Any]] = []
    axes = ["y", "x"]
    if rule.statistic == "percentiles":
        limits = {"min_percentile": rule.low, "max_percentile": rule.high}
        steps.append({"id": "scale_range", "kwargs": {"axes": axes, **limits}})
    elif rule.statistic == "moments":
        steps.append({"id": "zero_mean_unit_variance", "kwargs": {"axes": axes}})
    if set(rule.gain) != {1} or set(rule.offset) != {0}:
        gain, offset = np.broadcast_arrays(rule.gain, rule.offset)
        kwargs: dict[str, Any] = {"gain": float(gain[0]), "offset": float(offset[0])}
        if len(gain) > 1:
            kwargs = {"axis": "channel", "gain": gain.tolist(), "offset": offset.tolist()}
        steps.append({"id": "scale_linear", "kwargs": kwargs})
    if rule.clip is not None:
        steps.append({"id": "clip", "kwargs": {"min": rule.clip[0], "max": rule.clip[1]}})
    return steps


def read_operations(steps: Iterable[Any], channels: int) -> Preprocessing:
    """Return the rule that does what operations do.

    Parameters
    ----------
    steps : iterable
        Operations of a description of bioimage.io, version 0.5, on the axes "y" and "x" and at most
        "batch" and "channel".
    channels : int
        Of the images.

    Raises
    ------
    ValueError
        If an operation, or this order of them, has no equal here; the message names it.
    """
    state = _State(np.ones(1), np.zeros(1))
    for step in steps:
        state.take(step, channels)
    return Preprocessing(
        channels=channels,
        low=state.low,
        high=state.high,
        invert_bright=False,
        statistic=state.statistic,
        gain=tuple(state.gain.tolist()),
        offset=tuple(state.offset.tolist()),
        clip=state.clip,
    )


@dataclass
class _State:
    """What has become of gray values after some operations."""

    gain: Floats
    offset: Floats
    statistic: Statistic = "none"
    low: float = 0.0
    high: float = 100.0
    clip: tuple[float, float] | None = None
    _names: list[str] = field(default_factory=list)

    def take(self, step: Any, channels: int) -> None:
        """Go on by one operation."""
        kwargs = step.kwargs
        self._names.append(step.id)
        match step.id:
            case "ensure_dtype" if kwargs.dtype == "float32":
                pass
            case "scale_linear":
                self._scale(kwargs.gain, kwargs.offset, kwargs)
            case "fixed_zero_mean_unit_variance":
                mean, std = np.atleast_1d(kwargs.mean), np.atleast_1d(kwargs.std)
                self._scale(1 / std, -mean / std, kwargs)
            case "scale_range":
                if kwargs.reference_tensor is not None:
                    raise self._refusal("with the percentiles of another tensor")
                self._measure("percentiles", kwargs, channels)
                self.low, self.high = float(kwargs.min_percentile), float(kwargs.max_percentile)
            case "zero_mean_unit_variance":
                self._measure("moments", kwargs, channels)
            case "clip":
                self._limit(kwargs)
            case _:
                raise self._refusal("")

    def _refusal(self, how: str) -> ValueError:
        name = " ".join(part for part in (self._names[-1], how) if part)
        return ValueError(
            f"The package prepares images by {name}, which is not known here: use another model, or"
            " ask its authors for one that is normalised by percentiles."
        )

    def _scale(self, gain: Any, offset: Any, kwargs: Any) -> None:
        if str(getattr(kwargs, "axis", "channel")) != "channel":
            raise self._refusal(f"along the axis {kwargs.axis}")
        gain, offset = np.atleast_1d(gain).astype(float), np.atleast_1d(offset).astype(float)
        self.gain, self.offset = self.gain * gain, self.offset * gain + offset
        if self.clip is not None:
            if gain.size > 1 or offset.size > 1 or gain[0] <= 0:
                raise self._refusal("after clip")
            low, high = (float(gain[0] * limit + offset[0]) for limit in self.clip)
            self.clip = low, high

    def _measure(self, statistic: Statistic, kwargs: Any, channels: int) -> None:
        """Take a statistic; of what is not told for sure where other operations came before."""
        axes: Sequence[Any] | None = kwargs.axes
        told = {"y", "x", "channel"} if axes is None else {str(axis) for axis in axes}
        if not {"y", "x"} <= told:
            raise self._refusal(f"over the axes {', '.join(sorted(told))}")
        if channels > 1 and "channel" in told:
            raise self._refusal("of all channels together")
        before = [name for name in self._names[:-1] if name != "ensure_dtype"]
        if before:
            raise self._refusal(f"after {before[-1]}")
        if kwargs.eps > EPSILON:
            raise self._refusal(f"with eps = {kwargs.eps:g}")
        self.statistic = statistic

    def _limit(self, kwargs: Any) -> None:
        if None in (kwargs.min, kwargs.max):
            raise self._refusal("without a least and a largest value")
        low, high = self.clip or (-np.inf, np.inf)
        self.clip = max(low, float(kwargs.min)), min(high, float(kwargs.max))
        if self.clip[0] >= self.clip[1]:
            raise self._refusal("to an empty range")
