"""From the journal to Kafka, per team and in order."""
