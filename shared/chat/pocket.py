"""How the pocket models know a conversation: their special tokens, and the template that writes turns with them."""

from __future__ import annotations

from shared.chat.template import ChatTemplate

END_OF_TEXT = "<|endoftext|>"
END_OF_TURN = "<|end|>"
ROLES = ("system", "user", "assistant")
SPECIAL_TOKENS = (END_OF_TEXT, END_OF_TURN, *(f"<|{role}|>" for role in ROLES))

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    f"{{% if message['role'] not in {list(ROLES)} %}}"
    f"{{{{ raise_exception('the roles are {', '.join(ROLES)}, not ' ~ message['role']) }}}}{{% endif %}}"
    "<|{{ message['role'] }}|>{{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)

POCKET_CHAT = ChatTemplate(CHAT_TEMPLATE, {"bos_token": END_OF_TEXT, "eos_token": END_OF_TEXT})
# The turns alone, for documents, whose beginning the tokenizer writes.
POCKET_TURNS = ChatTemplate(CHAT_TEMPLATE, {"bos_token": ""})
