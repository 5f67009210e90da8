from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Coupling(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COUPLING_UNSPECIFIED: _ClassVar[Coupling]
    COUPLING_GUMBEL: _ClassVar[Coupling]
    COUPLING_RESIDUAL: _ClassVar[Coupling]
COUPLING_UNSPECIFIED: Coupling
COUPLING_GUMBEL: Coupling
COUPLING_RESIDUAL: Coupling

class DescribeRequest(_message.Message):
    __slots__ = ("padding",)
    PADDING_FIELD_NUMBER: _ClassVar[int]
    padding: bytes
    def __init__(self, padding: _Optional[bytes] = ...) -> None: ...

class DescribeResponse(_message.Message):
    __slots__ = ("name", "fingerprint", "tokenizer_fingerprint", "vocabulary", "context", "max_request_tokens", "dtype", "protocol", "step_us", "grammar_engine", "repeatable", "adapters", "bundle")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    TOKENIZER_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    VOCABULARY_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    MAX_REQUEST_TOKENS_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    STEP_US_FIELD_NUMBER: _ClassVar[int]
    GRAMMAR_ENGINE_FIELD_NUMBER: _ClassVar[int]
    REPEATABLE_FIELD_NUMBER: _ClassVar[int]
    ADAPTERS_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    name: str
    fingerprint: str
    tokenizer_fingerprint: str
    vocabulary: int
    context: int
    max_request_tokens: int
    dtype: str
    protocol: int
    step_us: int
    grammar_engine: str
    repeatable: bool
    adapters: _containers.RepeatedCompositeFieldContainer[Adapter]
    bundle: OfferedBundle
    def __init__(self, name: _Optional[str] = ..., fingerprint: _Optional[str] = ..., tokenizer_fingerprint: _Optional[str] = ..., vocabulary: _Optional[int] = ..., context: _Optional[int] = ..., max_request_tokens: _Optional[int] = ..., dtype: _Optional[str] = ..., protocol: _Optional[int] = ..., step_us: _Optional[int] = ..., grammar_engine: _Optional[str] = ..., repeatable: _Optional[bool] = ..., adapters: _Optional[_Iterable[_Union[Adapter, _Mapping]]] = ..., bundle: _Optional[_Union[OfferedBundle, _Mapping]] = ...) -> None: ...

class Adapter(_message.Message):
    __slots__ = ("name", "fingerprint")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    name: str
    fingerprint: str
    def __init__(self, name: _Optional[str] = ..., fingerprint: _Optional[str] = ...) -> None: ...

class OfferedBundle(_message.Message):
    __slots__ = ("name", "digest", "files")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    name: str
    digest: bytes
    files: _containers.RepeatedCompositeFieldContainer[BundleFile]
    def __init__(self, name: _Optional[str] = ..., digest: _Optional[bytes] = ..., files: _Optional[_Iterable[_Union[BundleFile, _Mapping]]] = ...) -> None: ...

class BundleFile(_message.Message):
    __slots__ = ("name", "size", "sha256")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    name: str
    size: int
    sha256: bytes
    def __init__(self, name: _Optional[str] = ..., size: _Optional[int] = ..., sha256: _Optional[bytes] = ...) -> None: ...

class FetchBundleRequest(_message.Message):
    __slots__ = ("digest", "file", "offset")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    digest: bytes
    file: str
    offset: int
    def __init__(self, digest: _Optional[bytes] = ..., file: _Optional[str] = ..., offset: _Optional[int] = ...) -> None: ...

class FetchBundleResponse(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...

class Session(_message.Message):
    __slots__ = ("session_id", "sampling", "coupling", "grammar", "reading_ms", "target")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    SAMPLING_FIELD_NUMBER: _ClassVar[int]
    COUPLING_FIELD_NUMBER: _ClassVar[int]
    GRAMMAR_FIELD_NUMBER: _ClassVar[int]
    READING_MS_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    session_id: bytes
    sampling: Sampling
    coupling: Coupling
    grammar: Grammar
    reading_ms: int
    target: str
    def __init__(self, session_id: _Optional[bytes] = ..., sampling: _Optional[_Union[Sampling, _Mapping]] = ..., coupling: _Optional[_Union[Coupling, str]] = ..., grammar: _Optional[_Union[Grammar, _Mapping]] = ..., reading_ms: _Optional[int] = ..., target: _Optional[str] = ...) -> None: ...

class Grammar(_message.Message):
    __slots__ = ("source", "begin", "engine")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    BEGIN_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    source: str
    begin: int
    engine: str
    def __init__(self, source: _Optional[str] = ..., begin: _Optional[int] = ..., engine: _Optional[str] = ...) -> None: ...

class Sampling(_message.Message):
    __slots__ = ("seed", "temperature", "top_k", "top_p", "end_ids")
    SEED_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    TOP_P_FIELD_NUMBER: _ClassVar[int]
    END_IDS_FIELD_NUMBER: _ClassVar[int]
    seed: int
    temperature: float
    top_k: int
    top_p: float
    end_ids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, seed: _Optional[int] = ..., temperature: _Optional[float] = ..., top_k: _Optional[int] = ..., top_p: _Optional[float] = ..., end_ids: _Optional[_Iterable[int]] = ...) -> None: ...

class DecodeRequest(_message.Message):
    __slots__ = ("session", "request_id", "position", "prefix_hash", "tokens", "audit_from", "judge_from", "write_on", "audit_only", "q", "guesses")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    PREFIX_HASH_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    AUDIT_FROM_FIELD_NUMBER: _ClassVar[int]
    JUDGE_FROM_FIELD_NUMBER: _ClassVar[int]
    WRITE_ON_FIELD_NUMBER: _ClassVar[int]
    AUDIT_ONLY_FIELD_NUMBER: _ClassVar[int]
    Q_FIELD_NUMBER: _ClassVar[int]
    GUESSES_FIELD_NUMBER: _ClassVar[int]
    session: Session
    request_id: int
    position: int
    prefix_hash: int
    tokens: _containers.RepeatedScalarFieldContainer[int]
    audit_from: int
    judge_from: int
    write_on: int
    audit_only: bool
    q: _containers.RepeatedCompositeFieldContainer[SparseDistribution]
    guesses: Guesses
    def __init__(self, session: _Optional[_Union[Session, _Mapping]] = ..., request_id: _Optional[int] = ..., position: _Optional[int] = ..., prefix_hash: _Optional[int] = ..., tokens: _Optional[_Iterable[int]] = ..., audit_from: _Optional[int] = ..., judge_from: _Optional[int] = ..., write_on: _Optional[int] = ..., audit_only: _Optional[bool] = ..., q: _Optional[_Iterable[_Union[SparseDistribution, _Mapping]]] = ..., guesses: _Optional[_Union[Guesses, _Mapping]] = ...) -> None: ...

class Guesses(_message.Message):
    __slots__ = ("position", "prefix_hash", "tokens", "parents", "seen", "odds")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    PREFIX_HASH_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    PARENTS_FIELD_NUMBER: _ClassVar[int]
    SEEN_FIELD_NUMBER: _ClassVar[int]
    ODDS_FIELD_NUMBER: _ClassVar[int]
    position: int
    prefix_hash: int
    tokens: _containers.RepeatedScalarFieldContainer[int]
    parents: _containers.RepeatedScalarFieldContainer[int]
    seen: int
    odds: bytes
    def __init__(self, position: _Optional[int] = ..., prefix_hash: _Optional[int] = ..., tokens: _Optional[_Iterable[int]] = ..., parents: _Optional[_Iterable[int]] = ..., seen: _Optional[int] = ..., odds: _Optional[bytes] = ...) -> None: ...

class SparseDistribution(_message.Message):
    __slots__ = ("ids", "probabilities")
    IDS_FIELD_NUMBER: _ClassVar[int]
    PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedScalarFieldContainer[int]
    probabilities: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, ids: _Optional[_Iterable[int]] = ..., probabilities: _Optional[_Iterable[float]] = ...) -> None: ...

class DecodeResponse(_message.Message):
    __slots__ = ("request_id", "verdict", "continuation", "stale", "resync", "reading")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    CONTINUATION_FIELD_NUMBER: _ClassVar[int]
    STALE_FIELD_NUMBER: _ClassVar[int]
    RESYNC_FIELD_NUMBER: _ClassVar[int]
    READING_FIELD_NUMBER: _ClassVar[int]
    request_id: int
    verdict: Verdict
    continuation: Continuation
    stale: Stale
    resync: Resync
    reading: Reading
    def __init__(self, request_id: _Optional[int] = ..., verdict: _Optional[_Union[Verdict, _Mapping]] = ..., continuation: _Optional[_Union[Continuation, _Mapping]] = ..., stale: _Optional[_Union[Stale, _Mapping]] = ..., resync: _Optional[_Union[Resync, _Mapping]] = ..., reading: _Optional[_Union[Reading, _Mapping]] = ...) -> None: ...

class Verdict(_message.Message):
    __slots__ = ("audit", "stands", "token", "token_nll", "timing", "token_unlikely", "fallen_unlikely", "names_guesses")
    AUDIT_FIELD_NUMBER: _ClassVar[int]
    STANDS_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOKEN_NLL_FIELD_NUMBER: _ClassVar[int]
    TIMING_FIELD_NUMBER: _ClassVar[int]
    TOKEN_UNLIKELY_FIELD_NUMBER: _ClassVar[int]
    FALLEN_UNLIKELY_FIELD_NUMBER: _ClassVar[int]
    NAMES_GUESSES_FIELD_NUMBER: _ClassVar[int]
    audit: Audit
    stands: int
    token: int
    token_nll: int
    timing: Timing
    token_unlikely: bool
    fallen_unlikely: bool
    names_guesses: bool
    def __init__(self, audit: _Optional[_Union[Audit, _Mapping]] = ..., stands: _Optional[int] = ..., token: _Optional[int] = ..., token_nll: _Optional[int] = ..., timing: _Optional[_Union[Timing, _Mapping]] = ..., token_unlikely: _Optional[bool] = ..., fallen_unlikely: _Optional[bool] = ..., names_guesses: _Optional[bool] = ...) -> None: ...

class Continuation(_message.Message):
    __slots__ = ("position", "tokens", "nll", "done", "timing", "unlikely")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    NLL_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    TIMING_FIELD_NUMBER: _ClassVar[int]
    UNLIKELY_FIELD_NUMBER: _ClassVar[int]
    position: int
    tokens: _containers.RepeatedScalarFieldContainer[int]
    nll: bytes
    done: bool
    timing: Timing
    unlikely: bytes
    def __init__(self, position: _Optional[int] = ..., tokens: _Optional[_Iterable[int]] = ..., nll: _Optional[bytes] = ..., done: _Optional[bool] = ..., timing: _Optional[_Union[Timing, _Mapping]] = ..., unlikely: _Optional[bytes] = ...) -> None: ...

class Stale(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Resync(_message.Message):
    __slots__ = ("held",)
    HELD_FIELD_NUMBER: _ClassVar[int]
    held: int
    def __init__(self, held: _Optional[int] = ...) -> None: ...

class Reading(_message.Message):
    __slots__ = ("read", "of")
    READ_FIELD_NUMBER: _ClassVar[int]
    OF_FIELD_NUMBER: _ClassVar[int]
    read: int
    of: int
    def __init__(self, read: _Optional[int] = ..., of: _Optional[int] = ...) -> None: ...

class Audit(_message.Message):
    __slots__ = ("off_strict", "unlikely", "nll")
    OFF_STRICT_FIELD_NUMBER: _ClassVar[int]
    UNLIKELY_FIELD_NUMBER: _ClassVar[int]
    NLL_FIELD_NUMBER: _ClassVar[int]
    off_strict: bytes
    unlikely: bytes
    nll: bytes
    def __init__(self, off_strict: _Optional[bytes] = ..., unlikely: _Optional[bytes] = ..., nll: _Optional[bytes] = ...) -> None: ...

class Timing(_message.Message):
    __slots__ = ("queue_us", "forward_us")
    QUEUE_US_FIELD_NUMBER: _ClassVar[int]
    FORWARD_US_FIELD_NUMBER: _ClassVar[int]
    queue_us: int
    forward_us: int
    def __init__(self, queue_us: _Optional[int] = ..., forward_us: _Optional[int] = ...) -> None: ...

class ReleaseRequest(_message.Message):
    __slots__ = ("session_id",)
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: bytes
    def __init__(self, session_id: _Optional[bytes] = ...) -> None: ...

class ReleaseResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
