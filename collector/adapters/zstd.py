"""Zstd: compressed bytes -> the bytes, never more than asked for."""

import zstandard

from metering.wire import WireInvalid, WireReason


def decompress(payload: bytes, limit: int) -> bytes:
    """Open one zstd frame.

    python-zstandard ignores `max_output_size` for a frame that names its own size, and allocates
    what it names: a few kilobytes could ask for gigabytes. So the size is read first.

    Raises:
        WireInvalid: it would be more than `limit` bytes.
        ValueError: it is no single, whole frame.
    """
    try:
        named = zstandard.frame_content_size(payload)
        if named > limit:
            raise WireInvalid(
                WireReason.OVERSIZED, f"{named} bytes once decompressed, at most {limit} are taken"
            )
        return zstandard.ZstdDecompressor().decompress(
            payload, max_output_size=limit, allow_extra_data=False
        )
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from error
