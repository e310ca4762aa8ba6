"""One thing that must hold, and the tree of those below it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Check:
    """One thing that must hold, and what it rests on. A check with children holds when all of them do."""

    name: str
    ok: bool = True
    detail: str = ""
    children: list[Check] = field(default_factory=list)

    def add(self, name: str, ok: bool = True, detail: str = "") -> Check:
        """Adds a check below this one."""
        child = Check(name, ok, detail)
        self.children.append(child)
        return child

    @property
    def holds(self) -> bool:
        return self.ok and all(child.holds for child in self.children)

    def failures(self) -> list[Check]:
        """The innermost checks that do not hold."""
        below = [failure for child in self.children for failure in child.failures()]
        return below if below or self.ok else [self]

    def failing_paths(self) -> list[tuple[list[str], Check]]:
        """The same, each with the names of the checks that it lies under and its own."""
        below = [
            ([self.name, *path], each) for child in self.children for path, each in child.failing_paths()
        ]
        return below if below or self.ok else [([self.name], self)]

    def count(self) -> int:
        """How many things were checked: the innermost ones."""
        return sum(child.count() for child in self.children) or 1

    def as_dict(self) -> dict[str, object]:
        return {
            "name": self.name,
            "ok": self.holds,
            "detail": self.detail,
            "checks": [child.as_dict() for child in self.children],
        }
