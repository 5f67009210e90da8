"""Makes what protects the link between the containers, once: certificates with openssl, and a token an edge.

    python credentials.py SERVER_DIRECTORY EDGE_DIRECTORY HOST[,HOST...] TENANT...

SERVER_DIRECTORY gets server.pem and server.key for all of HOST, tokens.txt, and ca.pem for its own health check;
EDGE_DIRECTORY gets ca.pem and a TENANT.token each. What is there and good for another month is kept. The authority's
key is thrown away: near the certificate's end both are made anew, and edges that start after that read the new one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cloud_target.access.tokens import add_line, new_token, parse_tokens

DAYS = 825
MONTH_SECONDS = 30 * 24 * 3600


def openssl(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run openssl, quietly."""
    return subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)


def need(*arguments: str) -> None:
    """Run openssl; ends the process if it fails."""
    run = openssl(*arguments)
    if run.returncode:
        sys.exit(f"openssl {arguments[0]} failed, so nothing was made: {run.stderr.strip()}")


def is_good(server: Path, hosts: list[str]) -> bool:
    """Whether certificate, key and authority are there and belong together, for all hosts and for another month."""
    cert, key, ca = (server / name for name in ("server.pem", "server.key", "ca.pem"))
    of_cert, of_key = (
        openssl("x509", "-in", str(cert), "-noout", "-pubkey"),
        openssl("pkey", "-in", str(key), "-pubout"),
    )
    at = str(int(time.time()) + MONTH_SECONDS)
    return (
        of_cert.returncode == of_key.returncode == 0
        and of_cert.stdout == of_key.stdout
        and all(
            "does match" in openssl("x509", "-in", str(cert), "-noout", "-checkhost", host).stdout for host in hosts
        )
        and openssl("verify", "-attime", at, "-CAfile", str(ca), str(cert)).returncode == 0
    )


def make_certificates(server: Path, hosts: list[str]) -> None:
    """An authority, and a certificate of it for `hosts` and this machine's loopback."""
    new = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", str(DAYS))
    with tempfile.TemporaryDirectory() as directory:
        ca, ca_key = Path(directory) / "ca.pem", Path(directory) / "ca.key"
        cert, key = Path(directory) / "server.pem", Path(directory) / "server.key"
        usage = ("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        need(*new, "-subj", "/CN=tandem authority", *usage, "-keyout", str(ca_key), "-out", str(ca))
        names = "subjectAltName=" + ",".join([*(f"DNS:{host}" for host in hosts), "DNS:localhost", "IP:127.0.0.1"])
        signer = ("-CA", str(ca), "-CAkey", str(ca_key))
        rules = ("-addext", "basicConstraints=critical,CA:FALSE", "-addext", names)
        need(*new, *signer, "-subj", f"/CN={hosts[0]}", *rules, "-keyout", str(key), "-out", str(cert))
        for source in (ca, key, cert):
            put(source, server / source.name)


def put(source: Path, goal: Path) -> None:
    """Copy a file so that nobody sees half of it, and nobody but its owner can read it."""
    part = goal.with_suffix(".part")
    shutil.copyfile(source, part)
    part.chmod(0o600)
    part.replace(goal)


def make_token(server: Path, edge: Path, tenant: str) -> None:
    """A token for a tenant, and the line about it for the server."""
    token, line = new_token(tenant)
    add_line(server / "tokens.txt", line)
    with open(os.open(edge / f"{tenant}.token", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(token + "\n")


def main(server: Path, edge: Path, host: str, *tenants: str) -> None:
    """Make what is missing."""
    tokens = server / "tokens.txt"
    hosts = host.split(",")
    if not is_good(server, hosts):
        make_certificates(server, hosts)
        print(f"made certificates for {' and '.join(hosts)}")
    put(server / "ca.pem", edge / "ca.pem")
    known = {grant.tenant for grant in parse_tokens(tokens.read_text(), tokens).values()} if tokens.exists() else ()
    for tenant in tenants:
        if tenant not in known or not (edge / f"{tenant}.token").exists():
            make_token(server, edge, tenant)
            print(f"made a token for {tenant}")


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit("usage: python credentials.py SERVER_DIRECTORY EDGE_DIRECTORY HOST[,HOST...] TENANT...")
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
