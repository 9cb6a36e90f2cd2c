"""Where each block of parameters is in the flat vector: layer after layer, of each the forward
direction first; then the head; then the first states."""

from .network cimport Network, history, matrices
from .plan cimport Layer


cdef inline void place_parameters(Network* net, Layer* layers) noexcept nogil:
    cdef Layer* layer
    cdef Py_ssize_t H = net.hidden, wide = net.directions * H, rows = net.gates * H
    cdef Py_ssize_t passes = net.layers * net.directions, i = 0
    net.size = 0
    while i < passes:
        layer = &layers[i]
        layer.number, layer.reverse = i // net.directions, i % net.directions
        layer.inputs = wide if layer.number else net.inputs
        layer.state_row = i * history(net)
        layer.weight_ih = take_parameters(net, rows * layer.inputs)
        layer.weight_hh = take_parameters(net, matrices(net) * rows * H)
        layer.weight_skip = take_parameters(net, H * H if net.skip else 0)
        layer.bias_ih = take_parameters(net, rows if net.has_bias else 0)
        layer.bias_hh = take_parameters(net, matrices(net) * rows if net.has_bias else 0)
        i += 1
    net.head_weight = take_parameters(net, net.outputs * wide if net.has_head else 0)
    net.head_bias = take_parameters(net, net.outputs if net.has_head_bias else 0)
    net.h0 = take_parameters(net, passes * H if net.has_start else 0)
    net.c0 = take_parameters(net, passes * H if net.has_start and net.cell.memory else 0)
    i = 0
    while i < passes:
        layer = &layers[i]
        layer.head_weight = net.head_weight + layer.reverse * H
        layer.h0, layer.c0 = net.h0 + i * H, net.c0 + i * H
        i += 1


cdef inline Py_ssize_t take_parameters(Network* net, Py_ssize_t count) noexcept nogil:
    """The start of so many parameters more."""
    net.size += count
    return net.size - count
