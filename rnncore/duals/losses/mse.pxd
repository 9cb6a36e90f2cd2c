include "losses/mse.pxd"
