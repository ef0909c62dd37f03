"""At rest: a batch's bytes as sealed <-> as they lie on the disk, compressed where that is smaller.

What is not written does not wear out flash: plain JSON is six times as large as it need be. The
sealed bytes come back exactly, and the digest is theirs, so nobody else sees any of this.
"""

import zstandard

from metering.wire import SEALED_LIMIT

_PACKED = ";at-rest=zstd"  # ends the kept content type of what was compressed here
_MOST = 2 * SEALED_LIMIT  # bytes that damaged bytes may claim to become


class AtRest:
    """Packs and unpacks; one thread at a time may use it."""

    def __init__(self) -> None:
        self._compress = zstandard.ZstdCompressor(level=3).compress
        self._decompress = zstandard.ZstdDecompressor().decompress

    def packed(self, content_type: str, payload: bytes) -> tuple[str, bytes]:
        small = self._compress(payload)
        if len(small) + len(_PACKED) >= len(payload):
            return content_type, payload
        return content_type + _PACKED, small

    def unpacked(self, content_type: str, kept: bytes) -> tuple[str, bytes] | None:
        """The content type and the bytes as they were sealed; None if these cannot be they."""
        if not content_type.endswith(_PACKED):
            return content_type, kept
        try:
            if zstandard.frame_content_size(kept) > _MOST:
                return None
            payload = self._decompress(kept, max_output_size=_MOST)
        except zstandard.ZstdError:
            return None
        return content_type.removesuffix(_PACKED), payload
