"""The topics as they are made: a consumer brings its own, under its own name, and each forgets as the settings say."""

from msgspec import structs

from streams.kafka.topics import CHECKPOINTS, RELAY_STATE, RETRY_LEVELS, TASK_EVENTS, TASKS, TopicPlan, plans
from streams.settings import KafkaSettings

DAY_MS = 24 * 3600 * 1000
SETTINGS = KafkaSettings(bootstrap_servers="broker:9092")


def planned(*consumers: str, **settings: float) -> dict[str, TopicPlan]:
    return {plan.name: plan for plan in plans(structs.replace(SETTINGS, **settings), consumers)}


def test_every_consumer_has_topics_for_retries_and_dead_letters_under_its_name() -> None:
    made = planned("notifications", "webhooks")
    for consumer in ("notifications", "webhooks"):
        assert made[f"taskforge.{consumer}.retry.v1"].partitions == RETRY_LEVELS
        assert made[f"taskforge.{consumer}.dlq.v1"].partitions == 1
    assert len(made) == len(planned()) + 4


def test_failed_records_are_kept_for_two_weeks_and_no_refill_empties_their_topics() -> None:
    for plan in plans(SETTINGS, ["notifications"])[-2:]:
        assert plan.config["retention.ms"] == str(14 * DAY_MS)
        assert not plan.from_journal


def test_the_topics_made_from_the_journal_are_the_same_whoever_reads_them() -> None:
    assert [name for name, plan in planned("webhooks").items() if plan.from_journal] == [TASK_EVENTS, TASKS]
    assert [name for name, plan in planned("webhooks").items() if plan.beside_journal] == [CHECKPOINTS]


def test_the_topic_of_events_forgets_after_a_week_and_no_later_than_a_day_after_that() -> None:
    config = planned()[TASK_EVENTS].config
    assert config["retention.ms"] == str(7 * DAY_MS)
    assert int(config["segment.ms"]) <= DAY_MS
    assert planned(event_days=30.0)[TASK_EVENTS].config["retention.ms"] == str(30 * DAY_MS)


def test_compacted_topics_never_forget_the_last_word_and_soon_those_before() -> None:
    for name in (TASKS, CHECKPOINTS):
        config = planned(compaction_hours=2.0, tombstone_hours=48.0)[name].config
        assert config["cleanup.policy"] == "compact"
        assert config["max.compaction.lag.ms"] == str(2 * 3600 * 1000)
        assert config["delete.retention.ms"] == str(2 * DAY_MS)
        assert "retention.ms" not in config


def test_what_the_relays_remember_is_kept_whatever_the_settings_say() -> None:
    assert planned(event_days=1.0, work_days=1.0)[RELAY_STATE].config == {"retention.ms": "-1"}
