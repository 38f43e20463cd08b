"""States as blobs: whatever a checkpoint holds comes back, arrays as arrays of one's own."""

import numpy as np

from labrhel.store._values import pack_value, unpack_value


def test_a_nested_state_comes_back_and_its_arrays_may_be_changed() -> None:
    state = {"a": [1, None, {"b": np.array([1.0, -0.0])}], "same": np.array([1.0, -0.0]), "c": np.array([[1 + 2j]])}
    for _ in range(2):
        found = unpack_value(pack_value(state))
        assert found["a"][:2] == [1, None]
        assert found["a"][2]["b"].tobytes() == found["same"].tobytes() == state["same"].tobytes()
        assert found["c"].tolist() == [[1 + 2j]]
        found["same"][0] = 9.0
        assert found["a"][2]["b"][0] == 1.0
