"""Settings of this user on this machine, from `PARTITA_...` environment variables. Nothing here is part of a song."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import platformdirs
from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from partita.errors import RequestError

Source = Literal["auto", "huggingface", "modelscope"]


class Settings(BaseSettings):
    """Each field is the environment variable of its name in capitals behind `PARTITA_`, such as `PARTITA_MODEL`."""

    model_config = SettingsConfigDict(env_prefix="PARTITA_", frozen=True, extra="ignore")

    model: str = "built-in"
    cache: Path = Path(platformdirs.user_cache_dir("partita"))
    data: Path = Path(platformdirs.user_data_dir("partita"))
    checkpoint_dir: Path | None = None
    source: Source = "auto"
    endpoint: str | None = None
    offline: bool = False

    @classmethod
    def load(cls) -> Settings:
        """Read the environment. Raises RequestError where a variable makes no sense."""
        try:
            return cls()
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name = f"PARTITA_{str(first['loc'][0]).upper()}"
            raise RequestError(
                f"The environment variable {name} is {first.get('input')!r}: {first['msg']}.",
                field=name,
                value=first.get("input"),
            ) from None

    @property
    def work(self) -> Path:
        """Latents of songs whose decoding has not finished: taken up again by the next try of the same song."""
        return self.data / "work"

    @property
    def kept(self) -> Path:
        """Songs that could not be written where they were wanted."""
        return self.data / "kept"

    @property
    def archive(self) -> Path:
        """Sources that songs were made from, and the latents of finished songs."""
        return self.data / "archive"

    @property
    def adapters(self) -> Path:
        """Adapters that can be called by their name."""
        return self.data / "adapters"

    @property
    def service(self) -> Path:
        """What a server keeps: its jobs, their songs, and what was uploaded to it."""
        return self.data / "service"
