"""Every error has a gRPC status."""

from __future__ import annotations

import grpc

from cloud_target.server import statuses
from shared import errors


def every_error(kind: type[errors.TandemError]) -> set[type[errors.TandemError]]:
    return {kind}.union(*(every_error(child) for child in kind.__subclasses__()))


def test_every_error_of_the_tree_has_a_status():
    tree = {kind for kind in every_error(errors.TandemError) if kind.__module__ == errors.__name__}
    assert tree == set(statuses.STATUSES)


def test_an_error_not_in_the_table_takes_its_parents_status():
    class Special(errors.ContextLengthError):
        pass

    assert statuses.status_of(Special("x")) is grpc.StatusCode.OUT_OF_RANGE
