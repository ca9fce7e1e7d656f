"""Send a file of logged predictions through the whole path, and write down what comes out."""
