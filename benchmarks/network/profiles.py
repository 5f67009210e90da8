"""The links that things are measured on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Profile:
    """One kind of link; the same both ways but for its rates.

    Attributes:
        name: for the command line.
        round_trip: of a small packet on a quiet link, seconds.
        jitter: standard deviation of the round trip, seconds. It wanders within some tenths of a second.
        up, down: bits a second from the device and to it; 0 is no limit.
        loss: share of the packets that are lost, each way.
        stall_every, stall_for: nothing passes for so many seconds, about so often; 0 is never.
        words: what it stands for.
    """

    name: str
    round_trip: float
    words: str
    jitter: float = 0.0
    up: float = 0.0
    down: float = 0.0
    loss: float = 0.0
    stall_every: float = 0.0
    stall_for: float = 0.0


_MEGA = 1e6
PROFILES = {
    profile.name: profile
    for profile in (
        Profile("none", 0.0, "the same machine"),
        Profile("lan", 0.001, "a wire to the next room"),
        Profile("metro", 0.010, "fibre to a data centre in the same city", up=100 * _MEGA, down=500 * _MEGA),
        Profile("home", 0.025, "a home connection", jitter=0.001, up=20 * _MEGA, down=100 * _MEGA),
        Profile(
            "mobile",
            0.050,
            "a phone network, now and then without a signal",
            jitter=0.015,
            up=5 * _MEGA,
            down=20 * _MEGA,
            stall_every=8.0,
            stall_for=0.4,
        ),
        Profile("far", 0.100, "another continent's coast", jitter=0.002, up=20 * _MEGA, down=100 * _MEGA),
        Profile(
            "satellite",
            0.200,
            "the other side of the world, or a satellite",
            jitter=0.005,
            up=5 * _MEGA,
            down=50 * _MEGA,
        ),
        Profile(
            "wifi",
            0.015,
            "a crowded Wi-Fi that loses one packet in a hundred",
            jitter=0.008,
            up=10 * _MEGA,
            down=20 * _MEGA,
            loss=0.01,
        ),
    )
}
