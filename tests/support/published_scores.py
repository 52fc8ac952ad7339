"""The published extractors word for word, however slow: what the linear ones are held against."""

import re

AA_V3 = (
    r"(?i)[\*\_]{0,2}Answer[\*\_]{0,2}\s*:[\s\*\_]{0,2}\s*([A-Z])(?![a-zA-Z0-9])",
    r"\\boxed\{[^}]*([A-Z])[^}]*\}",
    r"answer is ([a-zA-Z])",
    r"answer is \(([a-zA-Z])\)",
    r"([A-Z])\)\s*[^A-Z]*",
    r"([A-Z])\s+is\s+the\s+correct\s+answer",
    r"([A-Z])\s*$",
    r"([A-Z])\s*\.",
    r"([A-Z])\s*[^\w]",
)


def aa_v3(text: str) -> tuple[str | None, int, int]:
    """(letter, stage from 0, hits): nvidia-simple-evals 26.3, the last hit of the first pattern that hits."""
    for stage, pattern in enumerate(AA_V3):
        hits = list(re.finditer(pattern, text, re.MULTILINE | re.DOTALL))
        if hits:
            return hits[-1].group(1), stage, len(hits)
    return None, -1, 0


def official(text: str) -> str | None:
    """TIGER-AI-Lab/MMLU-Pro f418b11."""
    for pattern, flags in (
        (r"answer is \(?([A-J])\)?", 0),
        (r".*[aA]nswer:\s*([A-J])", 0),
        (r"(\b[A-J]\b)(?!.*\b[A-J]\b)", re.DOTALL),
    ):
        found = re.search(pattern, text, flags)
        if found:
            return found.group(1)
    return None


def nemo_skills(text: str) -> str | None:
    """NeMo-Skills 0b012df8, relaxed: box, else phrase; then its letter; then the last label."""
    found = _box(text)
    if not found:
        phrases = re.findall(r"The final answer is (.+)$", text)
        found = phrases[-1] if phrases else None
    if found is not None and len(found) == 1:
        return str(found)
    if found:
        letters = re.findall(r"\b[A-Z]\b(?!.*\b[A-Z]\b)", found, re.DOTALL)
        if letters:
            return str(letters[-1])
    labels = re.findall(AA_V3[0], text)
    return str(labels[-1]).upper() if labels else None


def _box(text: str) -> str | None:
    start = text.rfind("\\boxed")
    depth = 0
    for place in range(max(start, 0), len(text) if start >= 0 else 0):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if text[place] == "}" and depth == 0:
            box = text[start : place + 1]
            return box[len("\\boxed{") : -1] if box.startswith("\\boxed{") else None
    return None


def lm_eval_gsm8k(text: str, pattern: str, pick: int) -> str:
    """lm-eval 0.4.13: its regex filter, then what ``exact_match`` takes out of both sides."""
    hits = re.findall(pattern, text)
    found = hits[pick] if hits else "[invalid]"
    if isinstance(found, tuple):
        found = next((group for group in found if group), "[invalid]")
    return lm_eval_clean(found.strip())


def lm_eval_clean(text: str) -> str:
    for pattern in (",", r"\$", "(?s).*#### ", r"\.$"):
        text = re.sub(pattern, "", text)
    return text.lower()
