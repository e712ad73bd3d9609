"""Text in, token ids out: tokenizer, chat template, and the rules that keep ids canonical."""

from poise.text.conversation import Conversation, Plan
from poise.text.model import TextModel
from poise.text.template import ChatTemplate
from poise.text.tokenizer import Tokenizer, Vocab

__all__ = ["ChatTemplate", "Conversation", "Plan", "TextModel", "Tokenizer", "Vocab"]
