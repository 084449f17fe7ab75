"""Running a process without people: in memory, in no time, with performers who follow a log, chance, or a fitted model."""
