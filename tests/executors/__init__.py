"""One suite for every executor: the contract of cpp/include/poise/executor.h, sentence by sentence."""
