"""`help` and `inspect.signature` show what each setting accepts, and its default."""

import dataclasses
import inspect
import pydoc
from datetime import timedelta
from typing import get_type_hints

import pytest

from dataart_mp.config import ClientConfig, HTTPOptions
from dataart_mp.config.setting import settings_of

PARAMETERS = {
    ClientConfig: [
        "api_key: str",
        "base_url: str = 'https://src.datartproject.com'",
        "flush_buffer_size: int = 1000",
        "flush_num_processes: int | None = None",
        "flush_interval: float | datetime.timedelta = 5.0",
        "block_timeout: float | datetime.timedelta | None = None",
        "overflow: Literal['block', 'drop', 'raise'] = 'block'",
        "on_failure: collections.abc.Callable[[dataart_mp.failure.Failure], object] | None = None",
    ],
    HTTPOptions: [
        "connect_timeout: float | datetime.timedelta = 5.0",
        "ca_file: str | os.PathLike[str] | None = None",
        "headers: collections.abc.Mapping[str, str] = <factory>",
        "trust_env: bool = True",
    ],
}


@pytest.mark.parametrize("cls", PARAMETERS)
def test_the_signature_shows_accepted_types_and_defaults(cls: type) -> None:
    signature = str(inspect.signature(cls))
    assert [text for text in PARAMETERS[cls] if text not in signature] == []
    assert "Setting" not in signature


@pytest.mark.parametrize("cls", PARAMETERS)
def test_help_shows_accepted_types_and_defaults(cls: type) -> None:
    shown = pydoc.plain(pydoc.render_doc(cls))
    assert [text for text in PARAMETERS[cls] if text not in shown] == []
    assert "Setting" not in shown


def test_a_default_can_be_read_from_the_class() -> None:
    assert ClientConfig.flush_interval == 5.0
    assert ClientConfig.spool_dir is None


def test_fields_and_type_hints_show_accepted_types() -> None:
    types = {field.name: field.type for field in dataclasses.fields(ClientConfig)}
    assert types["flush_interval"] == float | timedelta
    assert get_type_hints(ClientConfig)["flush_interval"] == float | timedelta


@pytest.mark.parametrize("cls", [ClientConfig, HTTPOptions])
def test_every_setting_is_described_in_the_docstring(cls: type) -> None:
    assert cls.__doc__ is not None
    assert [name for name in settings_of(cls) if f"    {name}: " not in cls.__doc__] == []


def test_the_signature_of_from_env_does_not_show_the_environment() -> None:
    assert "environ({" not in str(inspect.signature(ClientConfig.from_env))
