"""Between the message that offers a bundle and its contents, with all that can be wrong in the message alone."""

from __future__ import annotations

from shared.contents import NAMES, BundleFile, Contents, are_of_a_bundle
from shared.domains import MOST_DOMAINS
from shared.errors import ProtocolError
from shared.manifest import DRAFT_DATA
from shared.wire.v1 import target_pb2 as wire

# Of the contract in proto/: most bytes of a file in one message.
CHUNK_BYTES = 256 << 10
DIGEST_BYTES = 32
_LONGEST_NAME = 200


def encode_contents(contents: Contents) -> wire.OfferedBundle:
    """What is offered, as a message."""
    files = [
        wire.BundleFile(name=file.name, size=file.size, sha256=bytes.fromhex(file.sha256)) for file in contents.files
    ]
    return wire.OfferedBundle(name=contents.name, digest=bytes.fromhex(contents.digest), files=files)


def decode_contents(message: wire.OfferedBundle) -> Contents:
    """What a message offers.

    Raises:
        ProtocolError: other files than a bundle has, a file without a size or a digest, or another digest of the whole
            than follows from them.
    """
    files = tuple(BundleFile(file.name, file.size, file.sha256.hex()) for file in message.files)
    if not are_of_a_bundle(file.name for file in files):
        usual = f"{', '.join(NAMES)}, perhaps {DRAFT_DATA}, and up to {MOST_DOMAINS} verifiers of domains"
        raise ProtocolError(f"the target offers a bundle with other files than {usual}; {_ASK}")
    if not all(file.size and len(file.sha256) == 2 * DIGEST_BYTES for file in files):
        raise ProtocolError(f"the target offers a bundle with a file that has no size or no SHA-256; {_ASK}")
    if len(message.name) > _LONGEST_NAME or not message.name.isprintable():
        raise ProtocolError(f"the target offers a bundle whose name is no line of {_LONGEST_NAME} characters; {_ASK}")
    contents = Contents(message.name, files)
    if bytes.fromhex(contents.digest) != message.digest:
        raise ProtocolError(f"the target offers a bundle under another digest than that of its files; {_ASK}")
    return contents


_ASK = "tell its operator, and give a bundle of your own until it is mended"
