"""Seeds, in one place so that none is used twice for different purposes."""

TRAINING_SEED = 1
TOKENIZER_SEED = 7
CHECK_SEED = 99
EVALUATION_SEED = 20_260
