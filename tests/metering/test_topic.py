"""Topics: built and read in one place; nothing enters that a broker would read otherwise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.topic import GatewayTopic, Leaf, TopicInvalid, subscription

districts = st.from_regex(r"[0-9]{6}", fullmatch=True, alphabet="0123456789")
gateways = st.from_regex(r"[a-z0-9][a-z0-9-]{0,62}", fullmatch=True)


@given(district=districts, gateway=gateways, leaf=st.sampled_from(Leaf))
def test_a_topic_comes_back_as_it_was_built(district, gateway, leaf):
    topic = GatewayTopic(district, gateway)

    assert GatewayTopic.parse(topic.leaf(leaf)) == (topic, leaf)


def test_a_topic_reads_as_the_contract_says():
    assert GatewayTopic("120101", "gw-e001").leaf(Leaf.BATCH) == "nenghao/1/120101/gw-e001/batch"
    assert subscription("120101/+", Leaf.STATE) == "nenghao/1/120101/+/state"


@pytest.mark.parametrize(
    "gateway",
    ["", "+", "#", "a/b", "a+", "-a", "A", "a b", "a\n", "a\x00", "网关", "a" * 64, "$sys", "a_b"],
)
def test_a_name_that_a_broker_would_read_otherwise_is_refused(gateway):
    with pytest.raises(TopicInvalid, match="gateway"):
        GatewayTopic("120101", gateway)


@pytest.mark.parametrize(
    "district", ["", "+", "#", "12010", "1201011", "12010a", "120101\n", "１２０１０１", "12/101"]
)
def test_a_district_is_six_digits(district):
    with pytest.raises(TopicInvalid, match="six digits"):
        GatewayTopic(district, "gw-e001")


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "nenghao/1/120101/gw-e001",
        "nenghao/1/120101/gw-e001/batch/more",
        "nenghao/2/120101/gw-e001/batch",
        "/nenghao/1/120101/gw-e001/batch",
        "nenghao/1/120101/gw-e001/batch/",
        "nenghao/1/120101/gw-e001/command",
        "nenghao/1/120101/+/batch",
        "nenghao/1/#",
        "$share/g/nenghao/1/120101/gw-e001/batch",
    ],
)
def test_a_topic_that_is_not_ours_is_refused(topic):
    with pytest.raises(TopicInvalid):
        GatewayTopic.parse(topic)


@given(text=st.text(max_size=60) | st.lists(st.text(max_size=8), max_size=7).map("/".join))
def test_any_text_is_a_topic_of_ours_or_refused(text):
    try:
        topic, leaf = GatewayTopic.parse(text)
    except TopicInvalid:
        return
    assert topic.leaf(leaf) == text
