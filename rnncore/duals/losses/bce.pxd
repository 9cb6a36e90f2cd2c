include "losses/bce.pxd"
