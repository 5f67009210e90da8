"""From where a target may be reached, and with which protection."""

from __future__ import annotations

import pytest

from cloud_target.access.protection import Access, check_address
from shared.errors import InputError


@pytest.mark.parametrize(
    ("host", "insecure"), [("127.0.0.1", False), ("localhost", False), ("LOCALHOST", False), ("0.0.0.0", True)]
)
def test_hosts_that_may_be_listened_on(host, insecure):
    assert check_address(host, 0, Access(insecure_bind=insecure)) is None


def test_a_host_that_is_not_this_machines():
    with pytest.raises(InputError, match=r"cannot listen on 192\.0\.2\.7, port 0: cannot assign requested address"):
        check_address("192.0.2.7", 0, Access(insecure_bind=True))
