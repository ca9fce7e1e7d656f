"""What the user of the services may do on the brokers, as the brokers tell it; and what is not granted."""

from collections.abc import Iterable

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, but not re-exported in its types
    AclOperation,
    AdminClient,
)

# The services read and write all their topics: the sketcher's heartbeats go to the raw ones.
TOPIC_OPERATIONS = (AclOperation.READ, AclOperation.WRITE)
GROUP_OPERATIONS = (AclOperation.READ,)


def missing_grants(
    admin: AdminClient, topics: Iterable[str], groups: Iterable[str], timeout_s: float
) -> list[str]:
    """Each as the arguments of `kafka-acls.sh --add`; none where brokers have no access control. Topics that don't exist
    are passed over. Raises `KafkaException` where the brokers can't be reached."""
    missing: list[str] = []
    asked_topics = admin.describe_topics(
        TopicCollection(list(topics)), include_authorized_operations=True, request_timeout=timeout_s
    )
    asked_groups = admin.describe_consumer_groups(
        list(groups), include_authorized_operations=True, request_timeout=timeout_s
    )
    for kind, asked, needed, refusal in (
        ("topic", asked_topics, TOPIC_OPERATIONS, KafkaError.TOPIC_AUTHORIZATION_FAILED),
        ("group", asked_groups, GROUP_OPERATIONS, KafkaError.GROUP_AUTHORIZATION_FAILED),
    ):
        for name, answer in asked.items():
            try:
                granted = answer.result().authorized_operations
            except KafkaException as error:
                code = error.args[0].code()
                if code == refusal:
                    granted = []
                elif code in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.GROUP_ID_NOT_FOUND):
                    granted = None
                else:
                    raise
            if granted is not None:
                lacking = [operation.name.title() for operation in needed if operation not in granted]
                missing.extend(f"--operation {operation} --{kind} {name}" for operation in lacking)
    return missing
