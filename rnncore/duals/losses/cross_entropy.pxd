include "losses/cross_entropy.pxd"
