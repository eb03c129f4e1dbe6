"""Samples: some need no network, and the others say so without one."""

import numpy as np
import pytest
import skimage.data

from napari_unet.samples import DEMO, SAMPLES, load_sample


@pytest.mark.parametrize("name", [s.name for s in SAMPLES.values() if s.bundled])
def test_bundled_samples_load_without_a_network(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("socket.socket.connect", _no_network)
    image = load_sample(name)
    assert image.ndim == len(SAMPLES[name].axes)
    assert np.ptp(image) > 0


def _no_network(*_: object) -> None:
    raise OSError("no network")


def test_demo_is_bundled():
    assert SAMPLES[DEMO].bundled


@pytest.mark.parametrize("name", [s.name for s in SAMPLES.values() if not s.bundled])
def test_offline_the_others_get_one_sentence(name: str, monkeypatch: pytest.MonkeyPatch):
    for function in ("socket.socket.connect", "socket.getaddrinfo"):
        monkeypatch.setattr(function, _no_network)
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # before it is tried once more
    with pytest.raises(ConnectionError, match="connect to the internet") as error:
        load_sample(name)
    assert DEMO in str(error.value)
    assert "\n" not in str(error.value)


def test_a_damaged_download_is_told_as_such(monkeypatch: pytest.MonkeyPatch):
    def damaged() -> None:
        raise ValueError("SHA256 hash of downloaded file (a.tif) does not match the known hash")

    monkeypatch.setattr(skimage.data, "human_mitosis", damaged)
    with pytest.raises(ConnectionError, match="checksum is wrong"):
        load_sample("mitosis")


def test_a_channel_is_taken_from_a_stack(monkeypatch: pytest.MonkeyPatch):
    stack = np.arange(2 * 2 * 3 * 4).reshape(2, 2, 3, 4)
    monkeypatch.setattr(skimage.data, "cells3d", lambda: stack)
    np.testing.assert_array_equal(load_sample("nuclei-stack"), stack[:, 1])


def test_unknown_sample_lists_those_known():
    with pytest.raises(ValueError, match="tissue"):
        load_sample("blobs")


def test_each_sample_states_licence_and_source():
    for sample in SAMPLES.values():
        assert sample.licence
        assert sample.source
        assert hasattr(skimage.data, sample.function)
