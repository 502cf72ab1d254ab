"""What data teams do first: the CloudEvents SDK for Python is given our records and finds the mode by itself."""

from typing import Any

import msgspec
import pytest
from aiokafka import ConsumerRecord
from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka_event
from jsonschema_rs import Draft202012Validator

from core.codec import encode
from db.pool import Pools
from streams.relay.records import records_of
from streams.settings import KafkaSettings
from tests.support.core_team import SALT, every_event
from tests.support.event_schemas import checked_in
from tests.support.journal_writer import JournalWriter
from tests.support.relaying import relaying
from tests.support.topic_reader import EVENTS, read_count
from tests.support.waiting import until

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
WANTED = 1_000


def read(headers: list[tuple[str, bytes]], key: bytes, value: bytes) -> Any:
    return from_kafka_event(KafkaMessage(dict(headers), key, value))


def same(event: Any, body: bytes) -> bool:
    """Whether the SDK says what the JSON says."""
    wanted = msgspec.json.decode(body)
    attributes = event.get_attributes()
    told = {name: attributes[name] for name in wanted if name not in ("data", "time")}
    return (
        event.get_data() == wanted["data"]
        and told == {name: value for name, value in wanted.items() if name not in ("data", "time")}
        and attributes["time"].isoformat().replace("+00:00", "Z") == wanted["time"]
    )


def test_the_sdk_reads_every_type_of_event() -> None:
    for encoded in every_event(ended=True).journal:
        record = records_of(encode(encoded.event, TRACE, salt=SALT).row, {}, "5f0c1e2a3b4d5e6f")[0]
        assert record.value is not None
        event = read(record.headers, record.key, record.value)
        assert same(event, record.value)
        assert event.get_extension("partitionkey") == record.key.decode()


@pytest.mark.anyio
async def test_the_sdk_reads_a_thousand_records_of_the_topic_and_all_name_the_life_of_the_broker(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings
) -> None:
    async with relaying(pools, kafka) as (relay, monitor):
        for _ in range(4):
            await journal.append(await journal.team(), WANTED // 4)
        await until(lambda: relay.statistics().published == WANTED)
        incarnation = await monitor.known()
    validators = {urn: Draft202012Validator(schema) for urn, schema in checked_in().items()}
    records: list[ConsumerRecord] = await read_count(kafka.bootstrap_servers, EVENTS, WANTED)
    assert len(records) == WANTED
    for record in records:
        assert same(read(record.headers, record.key, record.value), record.value)
        assert dict(record.headers)["tf-incarnation"] == incarnation.encode()
        event = msgspec.json.decode(record.value)
        assert validators[event["dataschema"]].is_valid(event["data"])
