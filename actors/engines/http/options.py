"""The options of the HTTP engine and their defaults."""

from __future__ import annotations

from actors.engine import OptionValue

HTTP_RETRIES = 6  # of a request, unless the option sets another number
ADDRESS_OPTIONS: dict[str, OptionValue] = {
    "url": "",
    "key_file": "",
    "key_env": "",
    "key_header": "",
    "headers": {},
    "query": {},
    "ca_file": "",
    "in_flight": 64,
    "requests_per_minute": 0,
    "tokens_per_minute": 0,
    "retries": HTTP_RETRIES,
    "timeout": 600.0,
}
BATCH_OPTIONS: dict[str, OptionValue] = {"batch": "", "batch_log": "", "batch_wait": 10.0, "batch_poll": 30.0}
PARAMETER_OPTIONS: dict[str, OptionValue] = {"max_tokens_name": "max_tokens", "drop": [], "body": {}}
OPTIONS = ADDRESS_OPTIONS | BATCH_OPTIONS | PARAMETER_OPTIONS
