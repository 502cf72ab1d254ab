"""The topics as they are made: a consumer brings its own, under its own name, and they forget after two weeks."""

from streams.kafka.topics import RETRY_LEVELS, TASK_EVENTS, TASKS, plans

TWO_WEEKS_MS = 14 * 24 * 3600 * 1000


def test_every_consumer_has_topics_for_retries_and_dead_letters_under_its_name() -> None:
    made = {plan.name: plan for plan in plans(6, ["notifications", "webhooks"])}
    for consumer in ("notifications", "webhooks"):
        assert made[f"taskforge.{consumer}.retry.v1"].partitions == RETRY_LEVELS
        assert made[f"taskforge.{consumer}.dlq.v1"].partitions == 1
    assert len(made) == len(plans(6)) + 4


def test_failed_records_are_kept_for_two_weeks_and_no_refill_empties_their_topics() -> None:
    for plan in plans(6, ["notifications"])[-2:]:
        assert plan.config["retention.ms"] == str(TWO_WEEKS_MS)
        assert not plan.from_journal


def test_the_topics_made_from_the_journal_are_the_same_whoever_reads_them() -> None:
    assert [plan.name for plan in plans(6, ["webhooks"]) if plan.from_journal] == [TASK_EVENTS, TASKS]
