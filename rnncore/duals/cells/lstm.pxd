include "cells/lstm.pxd"
