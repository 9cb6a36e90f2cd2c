include "cells/elman.pxd"
