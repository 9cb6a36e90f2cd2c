cdef inline bint describe(Cell* cell, int number) noexcept nogil:
    """The cell of a number, from 0; false where there is none."""
    memset(cell, 0, sizeof(Cell))
    if number == 0:
        elman(cell)
    elif number == 1:
        lstm(cell)
    elif number == 2:
        gru(cell)
    elif number == 3:
        mgu(cell)
    elif number == 4:
        gru_before(cell)
    return cell.forward != NULL
