"""Arrays of all libraries: those used without copies, and the errors for all others."""

import array
import ctypes
import gc
import sys
import unittest
import weakref

import l2o
import numpy as np

from support import sign_descent_optimizer

try:
    import torch
except ImportError:
    torch = None
try:
    import jax
    import jax.numpy as jnp
except ImportError:
    jax = None

CUDA = 2


class OnlyDLPack:
    """A numpy array that supports only DLPack, in one version or another."""

    def __init__(self, values, *, versioned=True, device=None):
        self.values, self.versioned, self.device = values, versioned, device

    def __dlpack_device__(self):
        return self.device or self.values.__dlpack_device__()

    def __dlpack__(self, **arguments):
        if not self.versioned and "max_version" in arguments:
            raise TypeError("got an unexpected keyword argument 'max_version'")
        return self.values.__dlpack__(**arguments)


class ArraysTest(unittest.TestCase):
    def setUp(self):
        self.run_of_four = l2o.Run(sign_descent_optimizer(0.5), 4)
        self.gradient = np.array([1, -1, 2, -2], np.float32)

    def assert_steps(self, gradient, parameters):
        """Parameters are updated in place: along the negative signs of the gradient."""
        self.run_of_four.step(gradient, parameters)
        signs = [value < 0 for value in np.asarray(parameters).ravel().tolist()]
        self.assertEqual(signs, [True, False, True, False])

    def zeros(self):
        return np.zeros(4, np.float32)

    def test_numpy_and_plain_python_arrays(self):
        self.assert_steps(self.gradient, self.zeros())
        self.assert_steps(array.array("f", [1, -1, 2, -2]), array.array("f", [0, 0, 0, 0]))
        read_only = self.gradient.copy()
        read_only.flags.writeable = False
        self.assert_steps(read_only, self.zeros())

    def test_dlpack_of_either_version(self):
        for versioned in (True, False):
            parameters = self.zeros()
            self.run_of_four.step(
                OnlyDLPack(self.gradient, versioned=versioned),
                OnlyDLPack(parameters, versioned=versioned),
            )
            self.assertLess(parameters[0], 0)

    def test_dlpack_of_a_part_of_an_array(self):
        both = np.zeros((2, 4), np.float32)
        self.run_of_four.step(OnlyDLPack(self.gradient), OnlyDLPack(both[1]))
        self.assertFalse(both[0].any())
        self.assertTrue(both[1].all())
        with self.assertRaisesRegex(ValueError, "parameters is not contiguous"):
            self.run_of_four.step(self.gradient, OnlyDLPack(np.zeros((4, 2), np.float32)[:, 0]))

    def test_exports_are_released(self):
        for wrap in (lambda values: values, OnlyDLPack):
            parameters = self.zeros()
            references = sys.getrefcount(parameters)
            self.run_of_four.step(wrap(self.gradient), wrap(parameters))
            gc.collect()
            self.assertEqual(sys.getrefcount(parameters), references)
            alive = weakref.ref(parameters)
            del parameters
            gc.collect()
            self.assertIsNone(alive())
        growing = array.array("f", [0, 0, 0, 0])
        self.run_of_four.step(self.gradient, growing)
        growing.append(0)  # a BufferError while anything holds the buffer

    @unittest.skipIf(torch is None, "torch is not installed")
    def test_torch(self):
        gradient = torch.tensor(self.gradient)
        self.assert_steps(gradient, torch.zeros(4))
        self.assert_steps(gradient.reshape(2, 2), torch.zeros(2, 2))
        parameter = torch.nn.Parameter(torch.zeros(4))
        self.run_of_four.step(gradient, parameter)
        self.assertLess(parameter[0].item(), 0)
        with self.assertRaisesRegex(TypeError, "parameters has dtype float64; expected float32"):
            self.run_of_four.step(gradient, torch.zeros(4, dtype=torch.float64))
        with self.assertRaisesRegex(TypeError, "gradient has dtype bfloat16; expected float32"):
            self.run_of_four.step(gradient.bfloat16(), torch.zeros(4))
        with self.assertRaisesRegex(ValueError, "parameters is not contiguous"):
            self.run_of_four.step(gradient, torch.zeros(2, 2).t())
        with self.assertRaisesRegex(ValueError, "gradient is negated lazily; pass gradient.resolve_neg"):
            self.run_of_four.step(torch._neg_view(gradient), torch.zeros(4))
        for values in (
            gradient.to_sparse(),
            gradient.to(torch.complex64).conj(),
            torch.zeros(4, device="meta"),
        ):
            with self.assertRaisesRegex(TypeError, "gradient is a Tensor that cannot be used in place: "):
                self.run_of_four.step(values, torch.zeros(4))
        self.assertEqual(l2o.Run(l2o.Optimizer(), torch.tensor(3)).sizes, (3,))

    @unittest.skipIf(jax is None, "jax is not installed")
    def test_jax_arrays_are_read_only(self):
        self.assert_steps(jnp.array(self.gradient), self.zeros())
        for values in (jnp.zeros(4), jax.dlpack.from_dlpack(self.zeros())):
            with self.assertRaisesRegex(ValueError, "parameters is read-only"):
                self.run_of_four.step(self.gradient, values)

    @unittest.skipIf(jax is None, "jax is not installed")
    def test_jax_arrays_that_cannot_be_used(self):
        with self.assertRaisesRegex(TypeError, "gradient has dtype bfloat16; expected float32"):
            self.run_of_four.step(jnp.array(self.gradient, jnp.bfloat16), self.zeros())
        deleted = jnp.array(self.gradient)
        deleted.delete()
        with self.assertRaisesRegex((TypeError, ValueError), "gradient"):
            self.run_of_four.step(deleted, self.zeros())
        self.assertEqual(l2o.Run(l2o.Optimizer(), jnp.array(3)).sizes, (3,))

    def test_wrong_sizes(self):
        with self.assertRaisesRegex(ValueError, "gradient has 3 elements; expected 4"):
            self.run_of_four.step(self.gradient[:3], self.zeros())
        run = l2o.Run(l2o.Optimizer(), [1, 2])
        one, two = np.zeros(1, np.float32), np.zeros(2, np.float32)
        with self.assertRaisesRegex(ValueError, "gradients has 1 arrays; expected 2"):
            run.step_multi([one], [one.copy(), two.copy()])
        with self.assertRaisesRegex(ValueError, r"parameters\[1\] has 1 elements; expected 2"):
            run.step_multi([one, two], [one.copy(), one.copy()])
        with self.assertRaisesRegex(ValueError, "a size is -1; expected an integer from 0"):
            l2o.Run(l2o.Optimizer(), -1)

    def test_wrong_types(self):
        with self.assertRaisesRegex(TypeError, "gradient has dtype float64; expected float32"):
            self.run_of_four.step(np.zeros(4), self.zeros())
        with self.assertRaisesRegex(TypeError, "gradient has dtype '>f'"):
            self.run_of_four.step(self.gradient.astype(">f4"), self.zeros())
        with self.assertRaisesRegex(TypeError, "gradient is a float; expected an array"):
            self.run_of_four.step(1.0, self.zeros())
        with self.assertRaisesRegex(TypeError, "parameters is a NoneType"):
            self.run_of_four.step(self.gradient, None)
        with self.assertRaisesRegex(TypeError, "gradient has dtype int64"):
            self.run_of_four.step(OnlyDLPack(np.zeros(4, np.int64)), self.zeros())

    def test_arrays_that_cannot_be_exported(self):
        for values in (np.zeros(4, "datetime64[s]"), OnlyDLPack(np.zeros(4, "datetime64[s]"))):
            with self.assertRaisesRegex(TypeError, "gradient is a .* that cannot be used in place: "):
                self.run_of_four.step(values, self.zeros())
        released = memoryview(self.gradient)
        released.release()
        with self.assertRaisesRegex(TypeError, "gradient is a memoryview that cannot be used in place: "):
            self.run_of_four.step(released, self.zeros())

    def test_read_only_arrays(self):
        read_only = self.zeros()
        read_only.flags.writeable = False
        for values in (read_only, np.float32(0), bytes(4)):
            with self.assertRaises((ValueError, TypeError)):
                self.run_of_four.step(self.gradient, values)
        self.assertFalse(read_only.any())
        # Before 2.1 numpy itself refuses: DLPack could not say that an array is read-only.
        with self.assertRaisesRegex((ValueError, TypeError), "read-?only"):
            self.run_of_four.step(self.gradient, OnlyDLPack(read_only))
        with self.assertRaisesRegex(ValueError, "parameters is not contiguous"):
            self.run_of_four.step(self.gradient, np.zeros(8, np.float32)[::2])

    def test_wrong_devices(self):
        there = OnlyDLPack(self.gradient, device=(CUDA, 1))
        with self.assertRaisesRegex(ValueError, "gradient is on cuda:1; expected the CPU"):
            self.run_of_four.step(there, self.zeros())
        there.device = (8, 0)
        with self.assertRaisesRegex(ValueError, r"gradient is on DLPack device \(8, 0\)"):
            self.run_of_four.step(there, self.zeros())

    def test_a_device_array_is_requested_on_the_context_s_stream(self):
        """Without a device, only the request for the address can be observed."""
        asked = {}

        class Exporter(OnlyDLPack):
            def __dlpack__(self, **arguments):
                asked.update(arguments)
                return self.values.__dlpack__()

        exporter = Exporter(self.gradient, device=(CUDA, 0))
        view = l2o._arrays.view(exporter, "gradient", (CUDA, 0), stream=7, count=4)
        self.assertEqual(asked, {"max_version": (1, 0), "stream": 7})
        self.assertEqual(view.address, self.gradient.ctypes.data)
        self.assertEqual((ctypes.c_float * 4).from_address(view.address)[3], -2)


if __name__ == "__main__":
    unittest.main()
