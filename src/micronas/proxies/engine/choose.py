"""Which engine answers: the compiled one on a CPU, torch elsewhere."""

from __future__ import annotations

import warnings

from micronas.errors import UserError
from micronas.proxies.engine.backend import Backend, BackendName, Device, Precision


def choose(name: BackendName, device: Device, precision: Precision) -> Backend:
    """The compiled engine on a CPU, torch elsewhere and where numba is missing or broken.

    Raises:
        UserError: what was asked for by name is not there.
    """
    if name not in ("auto", "numba", "torch") or device not in ("cpu", "cuda"):
        raise UserError(f"no engine {name!r} on {device!r}; engines: auto, numba, torch; devices: cpu, cuda")
    if device == "cpu" and name != "torch":
        try:
            from micronas.proxies.engine.compiled.numba_backend import NumbaBackend

            return NumbaBackend(precision).compiled()
        except Exception as error:
            if name == "numba":
                raise UserError(f"numba cannot be used here ({error}); take the engine torch") from error
            if not isinstance(error, ImportError):
                warnings.warn(f"numba cannot be used here ({error}); torch answers, slower", stacklevel=2)
    if name == "numba":
        raise UserError("the engine numba runs on the device cpu only; on cuda take torch")
    from micronas.proxies.engine.tensors.torch_backend import TorchBackend

    return TorchBackend(device, precision)
