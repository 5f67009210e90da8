"""What an edge needs to reach a protected target, and what it never does with a token."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_client.cli import main as cli
from edge_client.cli.arguments import parse_args
from edge_client.cli.options import read_credentials
from edge_client.target.credentials import Credentials, read_token
from edge_client.target.grpc_transport import GrpcTransport
from shared.errors import InputError


def test_a_token_never_travels_in_the_clear():
    with pytest.raises(InputError, match=r"travel to gpu\.example where others can read it; turn encryption on"):
        GrpcTransport("gpu.example:50051", Credentials(token="secret"))
    for address, access in (
        ("gpu.example:1", Credentials(True, token="secret")),
        ("[::1]:1", Credentials(token="secret")),
    ):
        GrpcTransport(address, access).close()


def test_a_token_is_not_shown():
    assert "secret" not in repr(Credentials(token="secret"))
    with pytest.raises(InputError, match="the token is empty, or holds spaces") as caught:
        Credentials(token="sec ret")
    assert "sec" not in str(caught.value).replace("spaces", "")


def test_halves_and_files(tmp_path):
    file = tmp_path / "x.pem"
    with pytest.raises(InputError, match="a client certificate and its key go together"):
        Credentials(client_cert=file)
    assert Credentials(ca=file).tls
    assert Credentials(ca="~/x.pem").ca == Path.home() / "x.pem"
    with pytest.raises(InputError, match=r"cannot read .*x\.pem: no such file"):
        GrpcTransport("gpu.example:1", Credentials(ca=file))
    with pytest.raises(InputError, match="cannot read"):
        read_token(file)
    for content in (b"", b"PEM", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        file.write_bytes(content)
        with pytest.raises(InputError, match=r"x\.pem holds no certificate in PEM; give the authority") as refused:
            Credentials(ca=str(file)).files()
        assert refused.value.options == ("ca",)


def test_the_command_line_and_the_environment(tmp_path, monkeypatch):
    file = tmp_path / "token"
    file.write_text("from-file\n")
    for name in ("TLS", "CA", "CLIENT_CERT", "CLIENT_KEY", "TOKEN_FILE", "TOKEN"):
        monkeypatch.delenv(f"TANDEM_{name}", raising=False)
    assert read_credentials(parse_args(["x"])) == Credentials()
    given = parse_args(["--tls", "--token-file", str(file), "x"])
    assert read_credentials(given) == Credentials(True, token="from-file")
    monkeypatch.setenv("TANDEM_TOKEN", "from-environment")
    monkeypatch.setenv("TANDEM_CA", "ca.pem")
    found = read_credentials(parse_args(["x"]))
    assert (found.tls, str(found.ca), found.token) == (True, "ca.pem", "from-environment")
    monkeypatch.setenv("TANDEM_TOKEN_FILE", str(file))
    assert read_credentials(parse_args(["x"])).token == "from-file"
    monkeypatch.setenv("TANDEM_TLS", "0")
    monkeypatch.delenv("TANDEM_CA")
    assert not read_credentials(parse_args(["x"])).tls


def test_no_option_takes_the_token_itself(capsys):
    with pytest.raises(SystemExit):
        parse_args(["--token", "secret", "x"])
    assert "see `edge-client --help`" in capsys.readouterr().err


def test_the_command_refuses_in_one_sentence(monkeypatch, capsys):
    monkeypatch.setenv("TANDEM_TOKEN", "secret")
    assert cli.main(["--target", "gpu.example:50051", "--mode", "cloud", "Tom"]) == 2
    out, err = capsys.readouterr()
    assert err.startswith("edge-client: the token would travel to gpu.example")
    assert err.endswith("(--tls, --ca)\n")
    assert "secret" not in out + err
