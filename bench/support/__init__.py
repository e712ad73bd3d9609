"""What the benchmark scripts share: the C++ driver, the peers, statistics and reports."""
