cdef inline bint describe_loss(Loss* loss, int number) noexcept nogil:
    """The loss of a number, from 1; false where there is none.  0: no loss at all."""
    memset(loss, 0, sizeof(Loss))
    loss.outputs, loss.low, loss.high = 1, -INFINITY, INFINITY
    if number == 1:
        bce(loss)
    elif number == 2:
        mse(loss)
    elif number == 3:
        cross_entropy(loss)
    elif number == 4:
        huber(loss)
    elif number == 5:
        poisson(loss)
    elif number == 6:
        gaussian(loss)
    return loss.evaluate != NULL
