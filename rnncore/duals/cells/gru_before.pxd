include "cells/gru_before.pxd"
