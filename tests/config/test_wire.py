"""A configuration reaches another process unchanged."""

import copy
import json
import pickle

from dataart_mp.config import ClientConfig, HTTPOptions
from tests.config.refusals import KEY


def test_a_configuration_survives_pickling_and_copying(secretive: ClientConfig) -> None:
    assert pickle.loads(pickle.dumps(secretive)) == secretive
    assert copy.deepcopy(secretive) == secretive


def test_a_configuration_survives_plain_json(secretive: ClientConfig) -> None:
    data = json.loads(json.dumps(secretive.to_wire()))
    assert ClientConfig.from_wire(data) == secretive


def test_the_wire_form_does_not_contain_the_callback() -> None:
    config = ClientConfig(KEY, on_failure=lambda failure: None)
    assert "on_failure" not in config.to_wire()
    assert ClientConfig.from_wire(config.to_wire()) == config.without_callbacks()


def test_workers_do_not_get_the_hooks_which_may_hold_any_object() -> None:
    config = ClientConfig(
        KEY, before_send=dict, sample_rate={"a": 0.5}, default_metadata={"at": object()}
    )
    assert ClientConfig.from_wire(json.loads(json.dumps(config.to_wire()))) == ClientConfig(KEY)


def test_the_hooks_stay_in_a_configuration_without_callbacks() -> None:
    config = ClientConfig(KEY, before_send=dict, on_failure=lambda failure: None)
    assert pickle.loads(pickle.dumps(config.without_callbacks())).before_send is dict


def test_a_configuration_without_callbacks_can_be_pickled() -> None:
    config = ClientConfig(KEY, flush_interval=1.5, on_failure=lambda failure: None)
    rest = pickle.loads(pickle.dumps(config.without_callbacks()))
    assert rest == ClientConfig(KEY, flush_interval=1.5)


def test_changing_the_wire_form_does_not_change_the_configuration() -> None:
    config = ClientConfig(KEY, http=HTTPOptions(headers={"X-A": "1"}))
    config.to_wire()["http"]["headers"]["X-A"] = "2"
    assert config.http.headers == {"X-A": "1"}
