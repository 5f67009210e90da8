"""Prompts of the two kinds that the pocket models know: story openings and task dialogues."""

STORIES = (
    "Once upon a time, there was a little fox named Tim. Tim wanted to",
    "One day, a girl named Lily found a big red box in the garden. She",
    "Tom and his dog Max went to the beach. The sun was hot and",
    "There was a small boat that was afraid of the big sea. Every morning",
)
DIALOGUES = (
    "User: I want to book a table for two in San Jose.\nAssistant:",
    "User: Can you find me a flight from Seattle to New York on March 3rd?\nAssistant:",
    "User: I need to check the balance of my savings account.\nAssistant:",
    "User: What will the weather be like in London tomorrow?\nAssistant:",
)
EVERY = tuple(prompt for pair in zip(STORIES, DIALOGUES, strict=True) for prompt in pair)
