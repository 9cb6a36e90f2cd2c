include "losses/gaussian.pxd"
