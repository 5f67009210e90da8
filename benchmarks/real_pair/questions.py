"""A hundred things that people ask a chatting model, two in five with an answer that can be told right from wrong.

They were written for this and nothing was trained or chosen on them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# What stands in a right answer, as a regular expression that knows no case; "" where there is no one right answer.
_ASKED: dict[str, tuple[tuple[str, str], ...]] = {
    "fact": (
        ("What is the capital of Italy?", r"\brome\b"),
        ("What is the capital of Japan?", r"\btokyo\b"),
        ("Which city is the capital of Egypt?", r"\bcairo\b"),
        ("Name the capital of Canada.", r"\bottawa\b"),
        ("On which continent is Brazil?", r"\bsouth america\b"),
        ("Which planet do people live on?", r"\bearth\b"),
        ("Which planet is closest to the Sun?", r"\bmercury\b"),
        ("What is the largest planet of the solar system?", r"\bjupiter\b"),
        ("Which gas do people need to breathe?", r"\boxygen\b"),
        ("What is the chemical formula of water?", r"\bh\s*2\s*o\b|\bh₂o\b"),
        ("Who wrote the play Romeo and Juliet?", r"\bshakespeare\b"),
        ("Who painted the Mona Lisa?", r"\b(da vinci|leonardo)\b"),
        ("Who was the first president of the United States?", r"\bwashington\b"),
        ("In which country is the Eiffel Tower?", r"\bfrance\b"),
        ("What language do people speak in Portugal?", r"\bportuguese\b"),
        ("How many days are there in a week?", r"\b(7|seven)\b"),
        ("How many legs does a spider have?", r"\b(8|eight)\b"),
        ("How many minutes are in an hour?", r"\b(60|sixty)\b"),
        ("What do bees make that people eat?", r"\bhoney\b"),
        ("Which animal is known as the king of the jungle?", r"\blion\b"),
        ("Which season comes after winter?", r"\bspring\b"),
        ("At what temperature in Celsius does water freeze?", r"\b(0|zero)\b"),
        ("What is the name of the force that makes things fall to the ground?", r"\bgravit"),
        ("Which ocean lies between Europe and North America?", r"\batlantic\b"),
    ),
    "sum": (
        ("What is 2 + 3?", r"\b(5|five)\b"),
        ("What is 10 minus 4?", r"\b(6|six)\b"),
        ("What is 5 times 6?", r"\b(30|thirty)\b"),
        ("What is 20 divided by 4?", r"\b(5|five)\b"),
        ("I have 3 apples and buy 4 more. How many apples do I have?", r"\b(7|seven)\b"),
        ("What is half of 18?", r"\b(9|nine)\b"),
        ("What is 100 minus 1?", r"\b(99|ninety[- ]nine)\b"),
        ("What comes next: 2, 4, 6, 8?", r"\b(10|ten)\b"),
    ),
    "word": (
        ("What is the opposite of hot?", r"\bcold\b"),
        ("What is the plural of the word mouse, the animal?", r"\bmice\b"),
        ("What is the past tense of the verb go?", r"\bwent\b"),
        ("How do you say thank you in Spanish?", r"\bgracias\b"),
        ("How do you say good morning in French?", r"\bbonjour\b"),
        ("Give one word that means the same as big.", r"\b(large|huge|enormous|great|giant|massive|gigantic|vast)\b"),
        ("Which colour do you get when you mix blue and yellow?", r"\bgreen\b"),
        ("What is a baby dog called?", r"\b(puppy|pup|puppies)\b"),
    ),
    "explain": (
        ("Why is the sky blue?", ""),
        ("How does a bicycle stay upright?", ""),
        ("Explain photosynthesis to a child of ten.", ""),
        ("What is inflation, in two sentences?", ""),
        ("What is the difference between weather and climate?", ""),
        ("How does a refrigerator keep food cold?", ""),
        ("Why do leaves change their colour in autumn?", ""),
        ("What does a vaccine do in the body?", ""),
        ("Explain what a database index is good for.", ""),
        ("Why do we have leap years?", ""),
        ("What causes the tides of the sea?", ""),
        ("How do noise-cancelling headphones work?", ""),
    ),
    "write": (
        ("Write a short poem about the first snow.", ""),
        ("Write an email that asks my landlord to repair the heating.", ""),
        ("Tell a story of five sentences about a lighthouse keeper.", ""),
        ("Write a birthday wish for my grandmother, who turns 80.", ""),
        ("Describe a busy market in the morning.", ""),
        ("Write a job advertisement for a baker.", ""),
        ("Write the opening line of a mystery novel.", ""),
        ("Write a polite refusal of an invitation to a wedding.", ""),
        ("Write a product description of a blue ceramic mug.", ""),
        ("Write a dialogue between a cat and a dog about dinner.", ""),
        ("Write a thank-you note to a teacher.", ""),
        ("Write a limerick about a clumsy robot.", ""),
    ),
    "advise": (
        ("How can I fall asleep faster?", ""),
        ("Give me three tips for a job interview.", ""),
        ("What should I pack for a weekend in the mountains?", ""),
        ("How do I remove a coffee stain from a shirt?", ""),
        ("What can I cook with rice, eggs and spinach?", ""),
        ("How do I start to learn the guitar?", ""),
        ("What are good questions to ask when renting a flat?", ""),
        ("How do I keep a houseplant alive that gets little light?", ""),
        ("Suggest a plan for running five kilometres in eight weeks.", ""),
        ("How can I save money on groceries?", ""),
        ("My neighbour plays loud music at night. What should I do?", ""),
        ("How do I say no at work without being rude?", ""),
    ),
    "change": (
        ("Rewrite this politely: Send me the report now.", ""),
        ("Correct the mistakes: She go to school yesterday and buyed a pen.", ""),
        ("Turn this into a question: The train leaves at nine.", ""),
        ("Summarise in one sentence: The town built a new bridge because the old one was closed after the flood, and "
         "people had to drive an hour to reach the hospital.", ""),
        ("Make a list of the fruits in this sentence: We had apples, two loaves of bread, plums and a melon.", ""),
        ("Translate into German: I would like a cup of tea, please.", ""),
        ("Shorten this: At this point in time we are not able to give you an answer.", ""),
        ("Write this as a headline: A boy of seven found a gold coin from Roman times in his garden.", ""),
        ("Put these in order of size: whale, mouse, horse, cat.", ""),
        ("Change the tense to the future: I walk to the lake and feed the ducks.", ""),
        ("Extract the date and the place: The meeting is on May 4 in Oslo.", ""),
        ("Give a title for a talk about growing vegetables on balconies.", ""),
    ),
    "program": (
        ("Write a Python function that adds two numbers.", ""),
        ("Write a Python function that reverses a string.", ""),
        ("How do I print the numbers from 1 to 10 in Python?", ""),
        ("What is the difference between a list and a tuple in Python?", ""),
        ("Write an SQL query that counts the rows of a table named orders.", ""),
        ("Write HTML for a page with a heading and a paragraph.", ""),
        ("What does the git command commit do?", ""),
        ("Write a function in JavaScript that says whether a number is even.", ""),
        ("What is a loop in programming?", ""),
        ("Explain what JSON is, with a small example.", ""),
        ("How do I read a text file line by line in Python?", ""),
        ("What is the time complexity of binary search?", ""),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Question:
    """What is asked.

    Attributes:
        kind: of thing.
        answer: a regular expression that a right answer holds; "" where there is none.
    """

    text: str
    kind: str
    answer: str

    def is_right(self, said: str) -> bool:
        """Whether an answer is right."""
        return re.search(self.answer, said, re.IGNORECASE) is not None


_BY_KIND = {kind: [Question(text, kind, answer) for text, answer in asked] for kind, asked in _ASKED.items()}
EVERY = [question for questions in _BY_KIND.values() for question in questions]
WITH_ANSWERS = [question for question in EVERY if question.answer]


def some(count: int) -> list[Question]:
    """So many of all, of every kind in turn; round again if there are fewer."""
    longest = max(map(len, _BY_KIND.values()))
    mixed = [kind[number] for number in range(longest) for kind in _BY_KIND.values() if number < len(kind)]
    return [mixed[number % len(mixed)] for number in range(count)]
