include "losses/huber.pxd"
