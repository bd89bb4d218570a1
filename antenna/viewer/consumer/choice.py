# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Makes the source of crashes that ``VIEWER_SOURCE`` names."""

from pathlib import Path

from antenna.config import ConfigManager, ConfigurationError, Option
from antenna.ext import CrashStorageBase
from antenna.viewer.consumer.sources import QueueSource, Source, StorageSource
from antenna.viewer.index import Index
from antenna.viewer.options import ViewerConfig


class QueueConfig:
    """The option that says where the collector's directory queue is."""

    class Config:
        """The collector's own option."""

        fs_root = Option(doc="Directory of the queue.")


def choose_source(options: ViewerConfig, config: ConfigManager, storage: CrashStorageBase, index: Index) -> Source:
    """Return the source that ``VIEWER_SOURCE`` names. Raises ``ConfigurationError``."""
    if options.source == "storage":
        return StorageSource(storage, index, options.scan_days)
    if options.source == "queue":
        queue = config.with_namespace("crashmover").with_namespace("crashpublish").with_options(QueueConfig)
        return QueueSource(Path(queue("fs_root")))
    if not options.subscription:
        raise ConfigurationError("VIEWER_SOURCE=pubsub needs VIEWER_SUBSCRIPTION")
    # Google's client takes 25 MiB of memory, so it is imported only if it is needed.
    from antenna.viewer.consumer.pubsub import PubSubSource  # noqa: PLC0415

    return PubSubSource(options.subscription)
