"""A finished bundle is run by the edge itself before anybody gets it."""

from __future__ import annotations

import pytest

from cloud_target.export.bundle import make_bundle
from cloud_target.export.device import try_on_device
from shared.errors import BundleError


@pytest.mark.slow
def test_a_bundle_is_tried_where_it_will_run(checkpoints, tmp_path):
    make_bundle(checkpoints["llama"], tmp_path / "bundle", trial=try_on_device)
    (tmp_path / "bundle" / "draft.onnx").write_bytes(b"no graph")
    with pytest.raises(BundleError, match=r"a device cannot run this bundle \(.*draft\.onnx"):
        try_on_device(tmp_path / "bundle", [1, 2, 3], 40)


def test_a_bundle_that_fails_its_trial_is_not_put_in_its_place(checkpoints, tmp_path):
    def trial(*_: object) -> None:
        raise BundleError("it cannot be run")

    with pytest.raises(BundleError, match="it cannot be run"):
        make_bundle(checkpoints["llama"], tmp_path / "bundle", trial=trial)
    assert list(tmp_path.iterdir()) == []
