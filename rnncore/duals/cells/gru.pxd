include "cells/gru.pxd"
