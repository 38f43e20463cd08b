"""The crew of a Dask cluster, which several computers with one folder of runs share.

Whoever reaches an open scheduler runs code as the user whose workers it has.  So a cluster without TLS is refused, one
on this very computer included: other users are on it, too.  Certificates are those of Dask's own configuration
(`distributed.comm.tls`), or a `Security` in Python.
"""
# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from labrhel.errors import ConfigurationError, TransportError
from labrhel.sweeps.crews import OnExecutor

_TLS = "tls://"
_PATIENCE = 20.0  # s for the scheduler to answer


class _OnCluster(OnExecutor):
    def __init__(self, client: Any, *, owned: bool) -> None:
        def everywhere(function: Callable[..., Any], *given: Any) -> list[Any]:
            return list(client.run(function, *given, on_error="ignore").values())

        super().__init__(client.get_executor(pure=False), everywhere)
        self._client, self._owned = client, owned

    def close(self) -> None:
        super().close()
        if self._owned:
            self._client.close()


def crew_at(address: str, security: Any = None) -> OnExecutor:
    """The crew of the cluster whose scheduler is at `address`, tls://HOST:PORT; raises what `connected` raises."""
    return _OnCluster(connected(address, security), owned=True)


def connected(address: str, security: Any = None) -> Any:
    """A client of the cluster whose scheduler is at `address`, tls://HOST:PORT.

    Raises ConfigurationError for one without TLS, and without the extra [cluster]; TransportError for a scheduler that
    does not answer.
    """
    if not address.startswith(_TLS):
        raise ConfigurationError(
            f"{address}: a scheduler without TLS runs anybody's code, here too: start it with certificates, "
            "and name it by tls://HOST:PORT (docs/sweeps.md)"
        )
    try:
        from distributed import Client, Security
    except ImportError as error:
        words = f"a cluster needs Dask ({error}): pip install 'labrhel[cluster]'"
        raise ConfigurationError(words) from None
    try:
        return Client(address, security=security or Security(require_encryption=True), timeout=_PATIENCE)
    except (OSError, TypeError, ValueError, RuntimeError) as error:
        raise TransportError(
            f"{address} does not answer as a scheduler with your certificates ({error}); they are those of Dask's "
            "configuration, distributed.comm.tls (docs/sweeps.md)"
        ) from None


def crew_of(client: Any) -> OnExecutor:
    """The crew of a client that is connected; ConfigurationError if anything in its cluster listens without TLS."""
    about = client.scheduler_info(n_workers=-1)
    open_ = [each for each in (client.scheduler.address, *about["workers"]) if not each.startswith(_TLS)]
    if open_:
        raise ConfigurationError(
            f"{open_[0]} listens without TLS, and runs anybody's code: start the cluster with certificates "
            "(docs/sweeps.md)"
        )
    return _OnCluster(client, owned=False)
