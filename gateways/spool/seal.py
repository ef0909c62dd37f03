"""Seal: readings -> batches as bytes that never change again.

A batch that would be too large is halved until it fits; one reading always fits.
"""

from collections.abc import Callable, Iterator, Sequence

from metering.batch import VERSION, Batch, BatchKey, ClockState, Sealed
from metering.reading import Reading
from metering.wire import DECODED_LIMIT, JSON_TYPE, SEALED_LIMIT, ZSTD_TYPE, digest_of, encode

Compress = Callable[[bytes], bytes]


class Sealer:
    """Turns readings into batches of one gateway."""

    def __init__(self, gateway: str, compress: Compress | None = None) -> None:
        self._gateway = gateway
        self._compress = compress
        self._content_type = JSON_TYPE if compress is None else ZSTD_TYPE

    def seal(
        self, readings: Sequence[Reading], after: BatchKey, *, at_ms: int, clock: ClockState
    ) -> Iterator[tuple[Sealed, int]]:
        """Seal `readings` under the sequences that follow `after`.

        Yields:
            Each batch and how many of the readings, from the first on, it took.
        """
        sequence = after.sequence
        start = 0
        while start < len(readings):
            sequence += 1
            key = BatchKey(after.epoch, sequence)
            count = len(readings) - start
            payload = self._payload(readings[start:], key, at_ms, clock)
            while payload is None:
                count = max(1, count // 2)
                payload = self._payload(readings[start : start + count], key, at_ms, clock)
            yield (
                Sealed(
                    key=key,
                    digest=digest_of(payload),
                    payload=payload,
                    content_type=self._content_type,
                ),
                count,
            )
            start += count

    def _payload(
        self, readings: Sequence[Reading], key: BatchKey, at_ms: int, clock: ClockState
    ) -> bytes | None:
        """The bytes as sent, or None if they are too many and can be fewer."""
        body = encode(
            Batch(
                v=VERSION,
                gateway=self._gateway,
                epoch=key.epoch,
                sequence=key.sequence,
                sealed_at_ms=at_ms,
                clock=clock,
                readings=tuple(readings),
            )
        )
        payload = body if self._compress is None else self._compress(body)
        too_large = len(body) > DECODED_LIMIT or len(payload) > SEALED_LIMIT
        return None if too_large and len(readings) > 1 else payload
