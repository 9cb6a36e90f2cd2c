include "cells/mgu.pxd"
