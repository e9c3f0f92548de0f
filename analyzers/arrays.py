"""What all numbers of a batch are: arrays of float64 whose first axis is the release."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
