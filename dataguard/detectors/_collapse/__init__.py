"""Answers that agree though their prompts do not: groups of like answers, and how their prompts are judged."""
