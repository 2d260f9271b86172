"""What the torture reports: one line a case."""

import dataclasses


@dataclasses.dataclass
class Case:
    """The tally of one case.

    Attributes:
      name: what is done to the job.
      tries: how often.
      rows: rows that had to come out, over all tries.
      lost, doubled: rows that did not, or more than once.
      faults: anything else that broke the contract, in words.
      seen: what happened how often, for the reader.
    """

    name: str
    tries: int = 0
    rows: int = 0
    lost: int = 0
    doubled: int = 0
    faults: list[str] = dataclasses.field(default_factory=list)
    seen: dict[str, int] = dataclasses.field(default_factory=dict)

    @property
    def failed(self) -> bool:
        return bool(self.lost or self.doubled or self.faults)

    def see(self, what: str) -> None:
        self.seen[what] = self.seen.get(what, 0) + 1

    def check(self, good: object, fault: str) -> None:
        if not good:
            self.faults.append(fault)

    def line(self) -> str:
        seen = ", ".join(f"{count} {what}" for what, count in sorted(self.seen.items()))
        return (
            f"| {self.name} | {self.tries:,} | {self.rows:,} | {self.lost} | {self.doubled} "
            f"| {len(self.faults)} | {seen} |"
        )


HEADER = (
    "| case | tries | rows | lost | doubled | faults | seen |\n"
    "| --- | ---: | ---: | ---: | ---: | ---: | --- |"
)
