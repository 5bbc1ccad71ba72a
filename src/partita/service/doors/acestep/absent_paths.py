"""Paths of the protocol whose feature this server does not have: each answers 501 and names it."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from partita.service.doors.acestep.door import refusal

ABSENT: dict[str, tuple[tuple[str, str], ...]] = {
    "training": (
        *(("POST", f"/v1/training/{name}") for name in ("start", "start_lokr", "stop", "load_tensor_info", "export")),
        ("GET", "/v1/training/status"),
    ),
    "dataset building": (
        *(
            ("POST", f"/v1/dataset/{name}")
            for name in ("scan", "load", "save", "auto_label", "auto_label_async", "preprocess", "preprocess_async")
        ),
        ("GET", "/v1/dataset/samples"),
        ("GET", "/v1/dataset/sample/{index}"),
        ("PUT", "/v1/dataset/sample/{index}"),
        ("GET", "/v1/dataset/auto_label_status"),
        ("GET", "/v1/dataset/auto_label_status/{task}"),
        ("GET", "/v1/dataset/preprocess_status"),
        ("GET", "/v1/dataset/preprocess_status/{task}"),
    ),
    "transcription": (("POST", "/v1/transcribe"),),
}
"""Methods and paths by the name of the feature."""

_INSTEAD = {
    "training": "Train elsewhere, put the adapter into this server's folder of adapters, and load it by /v1/lora/load.",
    "dataset building": "It belongs to training, which this server does not do either.",
    "transcription": "full_analysis_only of /release_task has a planner write down what it hears.",
}

router = APIRouter(tags=["not here"])


def _absent(feature: str) -> Callable[[Request], Response]:
    def handler(request: Request) -> Response:
        return refusal(501, f"This server has no {feature}. {_INSTEAD[feature]}")

    return handler


for _feature, _paths in ABSENT.items():
    for _method, _path in _paths:
        router.add_api_route(
            _path, _absent(_feature), methods=[_method], summary=f"Not here: {_feature}", include_in_schema=False
        )
