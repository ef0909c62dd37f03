"""Topic: (district, gateway, leaf) <-> the MQTT topic, and nothing else builds one."""

import re
from enum import StrEnum
from typing import Self

from msgspec import Struct

from metering.errors import PermanentError

_PREFIX = "nenghao/1"
_DISTRICT = re.compile(r"[0-9]{6}")
_GATEWAY = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class TopicInvalid(PermanentError):
    """A name that cannot stand in a topic, or a topic that is not ours."""


class Leaf(StrEnum):
    """What is said on a gateway's topic."""

    BATCH = "batch"
    STATE = "state"
    LINK = "link"
    COMMIT = "commit"


class GatewayTopic(Struct, frozen=True):
    """One gateway's corner of the topic tree. Wildcards and slashes cannot enter it."""

    district: str
    gateway: str

    def __post_init__(self) -> None:
        if not _DISTRICT.fullmatch(self.district):
            raise TopicInvalid(f"district {self.district!r}: six digits are needed")
        if not _GATEWAY.fullmatch(self.gateway):
            raise TopicInvalid(
                f"gateway {self.gateway!r}: small letters, digits and '-' are allowed, 63 at most"
            )

    def leaf(self, leaf: Leaf) -> str:
        return f"{_PREFIX}/{self.district}/{self.gateway}/{leaf}"

    @classmethod
    def parse(cls, topic: str) -> tuple[Self, Leaf]:
        """The gateway and the leaf of `topic`.

        Raises:
            TopicInvalid: the topic is not of this contract.
        """
        parts = topic.split("/")
        if len(parts) != 5 or "/".join(parts[:2]) != _PREFIX:  # noqa: PLR2004 - the contract's five
            raise TopicInvalid(f"topic {topic!r} is not of {_PREFIX}/DISTRICT/GATEWAY/LEAF")
        try:
            return cls(parts[2], parts[3]), Leaf(parts[4])
        except ValueError as error:
            raise TopicInvalid(f"topic {topic!r}: unknown leaf {parts[4]!r}") from error


def subscription(share: str, leaf: Leaf) -> str:
    """The filter of `leaf` for a collector's share: `120101/+`, or `120101/gw-e001`."""
    return f"{_PREFIX}/{share}/{leaf}"
