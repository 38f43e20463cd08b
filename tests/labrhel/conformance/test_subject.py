"""What checks ask of the rig under test."""

import numpy as np

from simbackend.testing.seeded_drivers import Driver, subject


def test_a_motion_is_predicted_once_until_a_knob_is_turned() -> None:
    with subject(Driver) as rig:
        port = rig.ports[0]
        first, again = rig.answer(port), rig.run(rig.shot({port: rig.pulse(port)}))[0]
        motion = rig.predict(first)
        assert rig.predict(again) is motion
        rig.configure({"stiffness": 1.1 * rig.theta["stiffness"]})
        turned = rig.predict(first)
        assert float(np.abs(turned.q - motion.q).max()) > 0.01 * float(np.abs(motion.q).max())
        rig.set_nominal()
        assert np.array_equal(rig.predict(again).q, motion.q)
