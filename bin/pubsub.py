#!/usr/bin/env python3
# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""List and make topics and subscriptions of Google Cloud Pub/Sub. PUBSUB_EMULATOR_HOST selects an emulator.

Credentials are Google's application default credentials. An emulator needs none. Unless --project and --topic name
others, the project and the topic are the collector's: CRASHMOVER_CRASHPUBLISH_PROJECT_ID and
CRASHMOVER_CRASHPUBLISH_TOPIC_NAME.
bin/pull_ids.py prints what was published. "bin/pubsub.py COMMAND --help" explains a command.

Examples:
  bin/pubsub.py create-topic                   # does nothing if the topic exists
  bin/pubsub.py create-subscription processor --ack-deadline 600
  bin/pubsub.py list-topics
  bin/pubsub.py list-subscriptions --json
  bin/pubsub.py publish de1bb258-cbbf-4589-a673-34f800261122

"""

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bin import _common, _google  # isort: split

from google import pubsub_v1
from google.api_core.exceptions import Conflict
from google.protobuf.json_format import MessageToDict
from google.pubsub_v1 import PublisherClient, SubscriberClient

from antenna.crash import crash_id as crash_ids
from antenna.ext import TEST_ID


def topic_path(args: argparse.Namespace) -> str:
    """Return the full name of the topic."""
    return f"projects/{args.project}/topics/{args.topic}"


def list_topics(args: argparse.Namespace) -> None:
    """Print the topics of the project."""
    for topic in _google.pubsub_client(PublisherClient).list_topics(
        project=f"projects/{args.project}", **_google.PUBSUB_OPTIONS
    ):
        if args.json:
            _common.print_json(MessageToDict(pubsub_v1.Topic.pb(topic)))
        else:
            print(_short(topic.name))


def create_topic(args: argparse.Namespace) -> None:
    """Make the topic."""
    outcome = "created"
    try:
        _google.pubsub_client(PublisherClient).create_topic(name=topic_path(args), **_google.PUBSUB_OPTIONS)
    except Conflict:
        outcome = "is there already"
    _common.note(f"topic {topic_path(args)} {outcome}")


def list_subscriptions(args: argparse.Namespace) -> None:
    """Print the subscriptions of the project, of all topics."""
    client = _google.pubsub_client(SubscriberClient)
    for subscription in client.list_subscriptions(project=f"projects/{args.project}", **_google.PUBSUB_OPTIONS):
        if args.json:
            _common.print_json(MessageToDict(pubsub_v1.Subscription.pb(subscription)))
        else:
            print(f"{_short(subscription.name)}\t{_short(subscription.topic)}")


def create_subscription(args: argparse.Namespace) -> None:
    """Make a subscription to the topic."""
    path = f"projects/{args.project}/subscriptions/{args.subscription}"
    subscription = pubsub_v1.Subscription(name=path, topic=topic_path(args), ack_deadline_seconds=args.ack_deadline)
    outcome = "created"
    try:
        _google.pubsub_client(SubscriberClient).create_subscription(subscription, **_google.PUBSUB_OPTIONS)
    except Conflict:
        outcome = "is there already"
    _common.note(f"subscription {path} to {args.topic} {outcome}")


def publish(args: argparse.Namespace) -> None:
    """Publish ids."""
    messages = [pubsub_v1.PubsubMessage(data=crash_id.encode()) for crash_id in args.crash_ids]
    _google.pubsub_client(PublisherClient).publish(topic=topic_path(args), messages=messages, **_google.PUBSUB_OPTIONS)
    _common.note(f"{len(messages)} published on {topic_path(args)}")


def _short(name: str) -> str:
    return _common.printable(name.rpartition("/")[2])


def parse_message(text: str) -> str:
    """Return a crash id without ``bp-``, or the test message. This is for ``argparse``."""
    crash_id = text.removeprefix("bp-")
    if crash_id != TEST_ID and not crash_ids.is_valid(crash_id):
        raise argparse.ArgumentTypeError(f"not a crash id: {text!r}")
    return crash_id


def parse_arguments() -> argparse.Namespace:
    """Return the arguments; ``command`` is the function to call."""
    parser = _common.make_parser(__doc__)
    parser.add_argument("--project", default=os.environ.get("CRASHMOVER_CRASHPUBLISH_PROJECT_ID"), help="project id")
    parser.add_argument("--topic", default=os.environ.get("CRASHMOVER_CRASHPUBLISH_TOPIC_NAME"), help="topic name")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("list-topics", help="print the names of the project's topics")
    command.add_argument("--json", action="store_true", help="print one JSON object a line, as the API returns it")
    command.set_defaults(command=list_topics, needs_topic=False)

    command = commands.add_parser("create-topic", help="make the topic, if it does not exist")
    command.set_defaults(command=create_topic, needs_topic=True)

    command = commands.add_parser("list-subscriptions", help="print the project's subscriptions and their topics")
    command.add_argument("--json", action="store_true", help="print one JSON object a line, as the API returns it")
    command.set_defaults(command=list_subscriptions, needs_topic=False)

    command = commands.add_parser("create-subscription", help="make a subscription to the topic, if it does not exist")
    command.add_argument("subscription", metavar="SUBSCRIPTION", help="name of the subscription")
    command.add_argument(
        "--ack-deadline",
        metavar="SECONDS",
        type=int,
        default=60,
        help="seconds after which an id that was not acknowledged is delivered again: 10 to 600 (default: 60)",
    )
    command.set_defaults(command=create_subscription, needs_topic=True)

    command = commands.add_parser("publish", help='publish crash ids, or "test", which readers skip')
    command.add_argument("crash_ids", metavar="ID", nargs="+", type=parse_message, help="crash id, or the word test")
    command.set_defaults(command=publish, needs_topic=True)

    args = parser.parse_args()
    if not args.project:
        parser.error("which project? Say --project, or set CRASHMOVER_CRASHPUBLISH_PROJECT_ID")
    if args.needs_topic and not args.topic:
        parser.error("which topic? Say --topic, or set CRASHMOVER_CRASHPUBLISH_TOPIC_NAME")
    return args


@_google.explained()
def main() -> int:
    """Run the command. Returns the exit code."""
    args = parse_arguments()
    args.command(args)
    return 0


if __name__ == "__main__":
    _common.run(main)
