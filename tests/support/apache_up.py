"""`taskforge up` with Apache Kafka in the place of the embedded broker, for tests of the whole system."""

from functools import partial

from taskforge import cli
from taskforge.commands import up
from taskforge.devstack import running_devstack
from tests.support.apache_kafka import ApacheKafka

if __name__ == "__main__":
    vars(up)["running_devstack"] = partial(running_devstack, broker=ApacheKafka)
    cli.main()
