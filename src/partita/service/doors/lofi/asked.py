"""What a client asks for with `generate`: the shape of its parameters, their ranges, and the track they name. Pure.

The order of the checks and the wording are those of lofi-daemon 0.1.0. Where its own contract takes what its decoder
does not (whole numbers with a decimal point, null for what is left out), both are taken.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Literal

from partita.service.doors.lofi.backends import BACKENDS, Backend
from partita.service.doors.lofi.config import LofiConfig, backend_named, scheduler_named
from partita.service.doors.lofi.protocol import INVALID_PARAMS, RpcError, fault, quoted

MOST_PROMPT_BYTES = 1000
_U32, _U64 = 2**32 - 1, 2**64 - 1
SEEDS = 2**32
"""Seeds of the engine, and below 10^14: a client can send one back that it was told."""

Priority = Literal["normal", "high"]


@dataclass(frozen=True, slots=True)
class Order:
    """A song that a client asked for. `sampling` is for backends that take it; `given` is what the client said."""

    prompt: str
    duration_s: int
    seed: int
    backend: Backend
    model_version: str
    priority: Priority = "normal"
    steps: int = 60
    scheduler: str = "euler"
    guidance_scale: float = 15.0
    given: Mapping[str, Any] = field(default_factory=dict)

    @property
    def track_id(self) -> str:
        """16 hexadecimal digits. Steps, scheduler and guidance are no part of it."""
        return track_id(self.backend.name, self.prompt, self.seed, self.duration_s, self.model_version)

    @property
    def parameters(self) -> dict[str, Any]:
        """What else a finished track must have been made with to be this one."""
        if not self.backend.takes_sampling:
            return {}
        return {
            "inference_steps": self.steps,
            "scheduler": self.scheduler,
            "guidance_scale": self.guidance_scale,
        }

    @property
    def units(self) -> int:
        """What progress counts to."""
        return self.backend.units(self.duration_s, self.steps)

    @property
    def song_seed(self) -> int:
        """The engine's seed: this one, or the two halves of a longer one folded into each other."""
        return (self.seed ^ (self.seed >> 32)) % SEEDS


def track_id(backend: str, prompt: str, seed: int, duration_s: int, model_version: str) -> str:
    """The id of a track, as lofi-daemon computes it."""
    text = f"{backend}:{prompt}:{seed}:{duration_s}:{model_version}"
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


def read_order(params: Any, config: LofiConfig) -> Order:
    """The order in the params of `generate`. Raises RpcError for the first thing that is wrong with them."""
    given = _shaped(params)
    name = given["backend"]
    backend = BACKENDS[named_backend(name) if name is not None else config.backend]
    prompt, duration_s = given["prompt"], given["duration_sec"]
    if not prompt.strip():
        raise fault("INVALID_PROMPT", "Prompt cannot be empty")
    if (size := len(prompt.encode("utf-8"))) > MOST_PROMPT_BYTES:
        raise fault("INVALID_PROMPT", f"Prompt too long: {size} characters (max {MOST_PROMPT_BYTES})")
    if not backend.min_duration_s <= duration_s <= backend.max_duration_s:
        raise fault(
            "INVALID_DURATION",
            f"Duration {duration_s} is outside valid range of {backend.min_duration_s}-{backend.max_duration_s} "
            f"seconds for {backend.name} backend",
        )
    order = Order(
        prompt=prompt,
        duration_s=duration_s,
        seed=secrets.randbelow(SEEDS) if given["seed"] is None else given["seed"],
        backend=backend,
        model_version=backend.model_version(config),
        priority=given["priority"],
        given={name: given[name] for name in _SAMPLING if given[name] is not None},
    )
    return _with_sampling(order, given, config) if backend.takes_sampling else order


def _with_sampling(order: Order, given: Mapping[str, Any], config: LofiConfig) -> Order:
    steps, scale, scheduler = given["inference_steps"], given["guidance_scale"], given["scheduler"]
    if steps is not None and not 1 <= steps <= 200:
        raise fault("INVALID_INFERENCE_STEPS", f"Inference steps {steps} is outside valid range of 1-200")
    if scale is not None and not 1.0 <= scale <= 30.0:
        raise fault("INVALID_GUIDANCE_SCALE", f"Guidance scale {_plain(scale)} is outside valid range of 1.0-30.0")
    if scheduler is not None and scheduler_named(scheduler) is None:
        raise fault(
            "INVALID_SCHEDULER",
            f"Unknown scheduler: '{quoted(scheduler)}'. Valid options: 'euler', 'heun', 'pingpong'",
        )
    return replace(
        order,
        steps=config.inference_steps if steps is None else steps,
        scheduler=(scheduler_named(scheduler) if scheduler is not None else None) or config.scheduler,
        guidance_scale=config.guidance_scale if scale is None else float(scale),
    )


def named_backend(name: str) -> str:
    """The backend of a client's word. Raises RpcError -32007."""
    found = backend_named(name)
    if found is None:
        raise fault("INVALID_BACKEND", f"Unknown backend: '{quoted(name)}'. Valid options: 'musicgen', 'ace_step'")
    return found


def required_text(params: Any, name: str) -> str:
    """The string `name` among the params of a method that must have it. Raises RpcError -32602."""
    value = _object(params).get(name)
    if value is None:
        raise _misshapen(f"missing field `{name}`")
    return _text(name, value)


def _shaped(params: Any) -> dict[str, Any]:
    """Every parameter of `generate` in its type, none for what is left out and has no usual value."""
    prompt = required_text(params, "prompt")
    asked = _object(params)

    def read(name: str, take: Callable[[str, Any], Any], usual: Any = None) -> Any:
        value = asked.get(name)
        return usual if value is None else take(name, value)

    return {
        "prompt": prompt,
        "duration_sec": read("duration_sec", lambda name, value: _whole(name, value, _U32), 30),
        "seed": read("seed", lambda name, value: _whole(name, value, _U64)),
        "priority": read("priority", _priority, "normal"),
        "backend": read("backend", _text),
        "inference_steps": read("inference_steps", lambda name, value: _whole(name, value, _U32)),
        "scheduler": read("scheduler", _text),
        "guidance_scale": read("guidance_scale", _number),
    }


_SAMPLING = ("inference_steps", "scheduler", "guidance_scale")


def _object(params: Any) -> Mapping[str, Any]:
    # Lua has one empty table for both, and its encoder writes [].
    if params is None or params == []:
        return {}
    if not isinstance(params, dict):
        raise _misshapen("an object is needed")
    return params


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise _misshapen(f"{name} must be a string")
    return value


def _priority(name: str, value: Any) -> Priority:
    if value not in ("normal", "high"):
        raise _misshapen(f'{name} must be "normal" or "high"')
    return value


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _misshapen(f"{name} must be a number")
    return value


def _whole(name: str, value: Any, most: int) -> int:
    number = _number(name, value)
    if number != int(number) or not 0 <= number <= most:
        raise _misshapen(f"{name} must be a whole number from 0 to {most}")
    return int(number)


def _misshapen(text: str) -> RpcError:
    return RpcError(INVALID_PARAMS, f"Invalid params: {text}")


def _plain(value: float) -> str:
    """In shortest decimal form, never with an exponent."""
    return quoted(format(Decimal(repr(value)), "f").removesuffix(".0"))
