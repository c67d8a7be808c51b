"""The round's recipe: the server's training policy, with what the command line overrides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import ValidationError
from pydantic.alias_generators import to_camel, to_snake

from .contract import TrainingPolicy
from .engine.objectives import OBJECTIVES


class BadConfiguration(Exception):
    """The round can not be run as it was started; one line for the operator."""


def parse_overrides(pairs: Sequence[str]) -> dict[str, str]:
    """`KEY=VALUE` texts to values by field name; keys in camelCase or snake_case. Raises `BadConfiguration`."""
    overrides: dict[str, str] = {}
    for text in pairs:
        key, sign, value = text.partition("=")
        name = to_snake(key.strip())
        if not sign or name not in TrainingPolicy.model_fields:
            names = ", ".join(field.alias or name for name, field in TrainingPolicy.model_fields.items())
            raise BadConfiguration(f"--recipe {text!r}: must be KEY=VALUE with a key of {names}")
        overrides[name] = value.strip()
    recipe_of(TrainingPolicy(), overrides)
    return overrides


def recipe_of(policy: TrainingPolicy, overrides: Mapping[str, str]) -> TrainingPolicy:
    """The policy with the overrides. Raises `BadConfiguration` for a value out of range or an unknown objective."""
    try:
        recipe = TrainingPolicy.model_validate(policy.model_dump() | dict(overrides))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(to_camel(str(part)) for part in first["loc"])
        raise BadConfiguration(f"recipe {name}: {first['msg']}") from None
    if recipe.objective not in OBJECTIVES:
        raise BadConfiguration(f"recipe objective {recipe.objective!r}: must be one of {', '.join(OBJECTIVES)}")
    return recipe
