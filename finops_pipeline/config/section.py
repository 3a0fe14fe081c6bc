"""What every part of ``finops.yaml`` has in common: the strict model that its sections are."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, StringConstraints, model_validator

Text = Annotated[str, StringConstraints(min_length=1)]


class Section(BaseModel):
    """A part of the config: unknown keys are errors, nothing is converted silently, nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    @model_validator(mode="before")
    @classmethod
    def _without_empty_keys(cls, value: Any) -> Any:
        """A key that stands there without a value counts as absent."""
        if value is None:
            return {}
        return {k: v for k, v in value.items() if v is not None} if isinstance(value, dict) else value
