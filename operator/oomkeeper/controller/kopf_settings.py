"""Settings of kopf that differ from its defaults, with the reasons."""

import kopf

from oomkeeper.model.names import GROUP


def kopf_settings() -> kopf.OperatorSettings:
    """Return the settings of the controller."""
    settings = kopf.OperatorSettings()
    # Lists in pages: without it kopf keeps whole lists in memory.
    settings.watching.chunk_size = 500
    settings.watching.server_timeout = 290
    settings.watching.client_timeout = 300
    settings.posting.enabled = False
    # The kinds are known and were served at the first list: there is no need to read CRDs or namespaces.
    settings.scanning.disabled = True
    # An idle object needs no task.
    settings.queueing.idle_timeout = 0.5
    settings.queueing.exit_timeout = 0.5
    # Wait for an API server that is away for hours. kopf ends after the last of these.
    settings.networking.error_backoffs = (1, 1, 2, 3, 5, 8, 13, 21, *(30,) * 2880)
    # kopf removes its finalizer from every object it sees; the default name may belong to another operator
    # written with kopf.
    settings.persistence.finalizer = f"{GROUP}/controller"
    return settings
