"""The passes, which improve a graph within its format; quantizers are passes too."""
