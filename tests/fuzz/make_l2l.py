"""Writes networks as saved by learning-to-learn, the seeds valid_* of the fuzz corpus l2l, and by
Open-L2O, valid_rnnprop.

usage: make_l2l.py

Needs numpy and dill. Run it with Python 3 and with Python 2, whose pickles differ. All files but
valid_rnnprop contain the same network of two layers of 3 units; tests/optimizer/import_l2l_test.cpp has the formula of its
weights. Run make_corpus.py afterwards, which writes damaged versions.
"""

import collections
import os
import pickle
import sys

import dill
import numpy

CORPUS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus", "l2l")
HIDDEN = 3


def synthetic(stream, *shape):
    """Multiples of 1/64, which are exact in both number types."""
    index = numpy.arange(numpy.prod(shape))
    return ((37 * index + 11 * stream) % 101 - 50).reshape(shape) / 64.0


def network(dtype, order, projection=()):
    """projection: arrays of a dense layer before the LSTM."""
    modules = collections.defaultdict(dict)  # as filled by networks.save
    inputs = projection[0][2][1] if projection else 2
    arrays = [("lstm_1", "w_gates", (inputs + HIDDEN, 4 * HIDDEN)), ("lstm_1", "b_gates", (4 * HIDDEN,)),
              ("lstm_2", "w_gates", (2 * HIDDEN, 4 * HIDDEN)), ("lstm_2", "b_gates", (4 * HIDDEN,)),
              ("linear", "w", (HIDDEN, 1)), ("linear", "b", (1,))]
    for stream, (module, variable, shape) in enumerate(arrays + list(projection)):
        modules[module][variable] = numpy.array(synthetic(stream, *shape), dtype=dtype, order=order)
    return modules


def write(pickler, protocol, dtype, order="C"):
    name = "valid_python{}_{}_protocol_{}_{}_{}".format(
        sys.version_info[0], pickler.__name__, protocol, dtype, order.lower())
    with open(os.path.join(CORPUS, name), "wb") as file:
        pickler.dump(network(dtype, order), file, protocol=protocol)


if __name__ == "__main__":
    if sys.version_info[0] == 2:
        write(pickle, 0, "float32")
        write(dill, 2, "float32")  # the authors' own files
    else:
        write(pickle, 0, "float32")
        write(pickle, 2, "float64")
        write(pickle, 4, "float64", "F")
        write(pickle, 5, "float32", "F")
        write(dill, 4, "float32")
        projection = [("input_projection", "w", (2, 4)), ("input_projection", "b", (4,))]
        with open(os.path.join(CORPUS, "valid_rnnprop"), "wb") as file:
            pickle.dump(network("float32", "C", projection), file, protocol=4)
