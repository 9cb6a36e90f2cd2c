include "losses/poisson.pxd"
