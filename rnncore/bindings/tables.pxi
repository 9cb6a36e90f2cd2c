# What Python may know of cells, losses and optimisers, and the numbers by which it names them.


cdef dict all_cells():
    """Of every cell, by name: its number, how many gates its parameters have, and of how many
    arrays its state is made."""
    cdef Cell cell
    cdef int number = 0
    cdef dict cells = {}
    while describe(&cell, number):
        cells[(<bytes>cell.name).decode()] = (number, gates_of(&cell), 1 + cell.memory)
        number += 1
    return cells


cdef dict all_losses():
    """Of every loss, by name: its number, whether a target is a class, how many outputs belong to a
    target that is none, and its least and largest value."""
    cdef Loss loss
    cdef int number = 1
    cdef dict losses = {}
    while describe_loss(&loss, number):
        losses[(<bytes>loss.name).decode()] = (
            number, loss.classes, loss.outputs, loss.low, loss.high,
        )
        number += 1
    return losses


cdef dict all_rules():
    """Of every optimiser, by name, its number."""
    cdef Rule rule
    cdef int number = 0
    cdef dict rules = {}
    while describe_rule(&rule, number):
        rules[(<bytes>rule.name).decode()] = number
        number += 1
    return rules


# The numbers by which Python names what the core knows.
CELLS = all_cells()
NONLINEARITIES = {"tanh": TANH, "relu": RELU, "sigmoid": SIGMOID, "identity": IDENTITY}
LOSSES = all_losses()
OPTIMISERS = all_rules()
