"""The route of adapters: those in the server's folder, by what they say of themselves. Files are put there by hand."""

from __future__ import annotations

from fastapi import APIRouter

from partita.errors import ModelError
from partita.service.http.common import ServiceOf
from partita.service.http.problems import responses
from partita.service.http.schemas import AdaptersView, AdapterView
from partita.weights.adapters import adapters_in, inspect_adapter

router = APIRouter(prefix="/v1/adapters", tags=["adapters"])


@router.get("", summary="List adapters", responses=responses())
def listed(service: ServiceOf) -> AdaptersView:
    """Trained adapters (LoRA, LoKr) that a request can name in `adapters`."""
    found: list[AdapterView] = []
    damaged: list[str] = []
    for path in adapters_in(service.settings.adapters):
        name = path.stem if path.is_file() else path.name
        try:
            found.append(AdapterView(use=name, **inspect_adapter(path).model_dump()))
        except ModelError:
            damaged.append(name)
    return AdaptersView(adapters=tuple(found), damaged=tuple(damaged))
