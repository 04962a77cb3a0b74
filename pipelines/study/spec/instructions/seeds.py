"""The `seeds` block of a study file: where seed instructions come from, and how the records of files are read."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from pipelines.rows.readers import ColumnField, SystemPolicy, TurnsPolicy, UnusedPolicy
from pipelines.study.spec.common.basics import Name, StrictModel, World, as_list, scalar_or_list_schema

OF_HUB = ("config", "revision")
OF_FILES = (*OF_HUB, "split", "system", "turns", "columns", "on_unused", "deduplicate")


class Seeds(StrictModel):
    """Seed instructions: files of one format, here or on the hub (docs/data.md), or tasks of the bundled world."""

    name: Name
    file: (
        Annotated[list[str], BeforeValidator(as_list), Field(min_length=1, json_schema_extra=scalar_or_list_schema)]
        | None
    ) = Field(default=None, description="file, folder or glob, relative to the study file, or a list of them")
    hub: str | None = Field(default=None, description="a data set on the Hugging Face hub, as org/name")
    config: str | None = Field(default=None, description="which config of a data set on the hub with several is read")
    revision: str | None = Field(default=None, description="the 40-digit commit of a data set on the hub")
    split: str | None = Field(
        default=None, description="which split of a folder with several, or of a data set on the hub (train), is read"
    )
    world: World | None = None
    limit: int | None = Field(default=None, gt=0, description="use only the first rows")
    on_bad_row: Literal["refuse", "quarantine"] = "refuse"
    system: SystemPolicy = Field(
        default="keep", description="system text: kept, dropped, or merged into the first user turn"
    )
    turns: TurnsPolicy = Field(
        default="all",
        description="all: the last user turn is the instruction, earlier turns are its history; first, last: only that "
        "user turn and the reply to it",
    )
    columns: dict[ColumnField, str | None] = Field(
        default={},
        description="field of a seed to name of a column (dots lead into nested objects); null: no column",
    )
    on_unused: UnusedPolicy = Field(
        default="tell", description="parts of a row's task that are not used: count and report them, or refuse the row"
    )

    deduplicate: Literal["exact", "near"] | None = Field(
        default=None,
        description="exact: reject a row with the same system text, turns and input as an earlier one; near: reject a "
        "row of which about 80% of the 5-word sequences are the same",
    )

    @model_validator(mode="after")
    def _one_source(self) -> Seeds:
        if (self.file, self.hub, self.world).count(None) != 2:
            raise ValueError("give exactly one of 'file', 'hub' and 'world'")
        if given := [key for key in OF_FILES if self.world and key in self.model_fields_set]:
            raise ValueError(f"'{given[0]}' has a meaning for files only")
        if given := [key for key in OF_HUB if self.file and key in self.model_fields_set]:
            raise ValueError(f"'{given[0]}' has a meaning for data sets on the hub only")
        return self
