"""Whatever goes on, and however much is logged: no text, no token id, no session id, no token of a tenant in a log."""

from __future__ import annotations

import logging
import re
import signal
from contextlib import suppress

import grpc
import pytest

from cloud_target.access.protection import Access as ServerAccess
from cloud_target.access.tokens import TokenFile, add_line, new_token
from cloud_target.engine.scripted import ScriptedEngine
from cloud_target.server.server import SERVICE, running
from edge_client.edge import Edge
from edge_client.target.credentials import Credentials
from shared.config import Mode, Sampling
from shared.tokenizer import encode_prompt
from shared.wire.v1 import target_pb2 as wire
from shared.wire.v1.target_pb2_grpc import TargetServiceStub
from tests.cloud_target.protocol.reference import request
from tests.cloud_target.server.process import ScriptedProcess
from tests.edge_client.scripted_device import CONTEXT, fake_bundle, script, tokenizer

VOCABULARY = 200_000  # so that ids look like nothing else in a log
PROMPT = [112_345, 198_765, 187_766, 134_567]
SESSION = b"SESSIONIDSESSION"
WORD = "Rumpelstiltskin"
SAMPLING = Sampling(0.8, seed=5)


@pytest.mark.slow
def test_a_server_logs_no_token_ids_and_no_bytes_of_requests():
    process = ScriptedProcess(0.0, 0, VOCABULARY, GRPC_VERBOSITY="DEBUG")
    seen = set(PROMPT)
    with grpc.insecure_channel(process.address) as channel:
        stub = TargetServiceStub(channel)

        def send(message: wire.DecodeRequest) -> None:
            for answer in stub.Decode(iter([message]), timeout=60):
                seen.update(answer.continuation.tokens, [answer.verdict.token])

        send(request(PROMPT, 0, SAMPLING, judge_from=4, write_on=20, session_id=SESSION))
        send(request(PROMPT, 3, SAMPLING, session_id=SESSION))
        for field, value in (("judge_from", PROMPT[0]), ("position", PROMPT[1]), ("write_on", PROMPT[2])):
            bad = request(PROMPT, 0, SAMPLING, audit_only=True, session_id=SESSION)
            setattr(bad, field, value)
            with suppress(grpc.RpcError):
                send(bad)
        garbage = b"\xff" + WORD.encode() + SESSION
        for call in (
            channel.unary_unary(f"/{SERVICE}/Release"),
            lambda data, timeout: list(channel.stream_stream(f"/{SERVICE}/Decode")(iter([data]), timeout=timeout)),
        ):
            with pytest.raises(grpc.RpcError):
                call(garbage, timeout=60)
        running_on = stub.Decode(iter([request(PROMPT, 0, SAMPLING, judge_from=4, write_on=400, session_id=SESSION)]))
        next(running_on)
        status, log = process.end(signal.SIGTERM)
    assert status == 0
    assert log  # it does log something at this level
    log = re.sub(r"\d+\.\d{6}\b", "", log)  # times of day
    assert not seen & {int(number) for number in re.findall(r"\d+", log) if len(number) >= 6}
    assert not re.search(f"{WORD}|SESSIONID|{SESSION.hex()}", log, re.IGNORECASE)


@pytest.mark.slow
def test_neither_side_logs_words_or_tokens(tmp_path, caplog, capfd):
    token, line = new_token("acme")
    add_line(tmp_path / "tokens", line)
    access = ServerAccess(tokens=TokenFile(tmp_path / "tokens"))
    size = tokenizer().get_vocab_size()
    bundle, credentials = fake_bundle(), Credentials(token=token)
    with (
        caplog.at_level(logging.DEBUG),
        running(ScriptedEngine(script("target"), size, context=CONTEXT), access=access) as address,
        Edge(address, bundle=bundle, credentials=credentials, memory=tmp_path) as edge,
    ):
        prompt = f"The robot met {WORD}"
        for mode in (Mode.SPRINT, Mode.EXACT, Mode.CLOUD):
            text = edge.generate(prompt, mode=mode).text
            assert text
            assert text not in caplog.text
        with suppress(Exception):
            edge.generate([*encode_prompt(bundle.tokenizer, prompt), size], mode="cloud")
    logged = caplog.text + "".join(capfd.readouterr())
    assert WORD not in logged
    assert token not in logged
    assert token.split("_", 2)[2] not in logged
