"""Makes the exchange of a batch API from an engine's options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from actors.engines.http.batches.anthropic_batches import HEADERS, KEY_HEADER, AnthropicBatches
from actors.engines.http.batches.batch_exchange import BatchExchange
from actors.engines.http.batches.batch_log import BatchLog
from actors.engines.http.batches.openai_batches import OpenAIBatches
from actors.engines.http.batches.service import BatchConnection
from actors.engines.http.client import HttpClient
from actors.engines.http.endpoint import Endpoint

BATCH_APIS = {"openai": OpenAIBatches, "anthropic": AnthropicBatches}


def batch_endpoint(endpoint: Endpoint, options: Mapping[str, Any]) -> Endpoint:
    """Return the endpoint with the headers that the batch API of option `batch` needs.

    Raises:
        ValueError: There is no such API.
    """
    if options["batch"] not in BATCH_APIS:
        raise ValueError(f"engine 'http': option 'batch' must be one of {', '.join(BATCH_APIS)}")
    if options["batch"] != "anthropic":
        return endpoint
    return replace(endpoint, key_header=endpoint.key_header or KEY_HEADER, headers={**HEADERS, **endpoint.headers})


def batch_exchange(endpoint: Endpoint, model: str, options: Mapping[str, Any]) -> BatchExchange:
    """Return the exchange for the batch API of option `batch`."""
    client = HttpClient(endpoint)
    service = BATCH_APIS[options["batch"]](BatchConnection(client, endpoint, model))
    log = BatchLog(options["batch_log"], endpoint.base, model)
    return BatchExchange(endpoint, model, service, client, log, options["batch_wait"], options["batch_poll"])
