"""All readouts, losses, penalties and metrics by the name that authors write."""

from types import MappingProxyType

from snnc.ops.losses import LOSSES
from snnc.ops.metrics import METRICS
from snnc.ops.penalties import PENALTIES
from snnc.ops.readouts import READOUTS

TENSOR_FUNCTIONS = MappingProxyType(
    {function.name: function for function in (*READOUTS, *LOSSES, *PENALTIES, *METRICS)}
)
