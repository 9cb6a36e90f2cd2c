"""Files of arrays with a header, in which nothing is executed; ``net.save``."""
