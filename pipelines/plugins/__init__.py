"""What a plug-in imports: a record type for each thing that it can add (docs/extending.md)."""

from pipelines.plugins.benchmarks import CodeBenchmark, GradedBenchmark, JudgedBenchmark
from pipelines.plugins.engines import EngineKind
from pipelines.plugins.methods import Method
from pipelines.plugins.metrics import Metric, SelectionRule
from pipelines.plugins.settings import Setting, setting
from pipelines.plugins.steps import Measure, StepKind
from pipelines.plugins.texts import Parser, PromptText

__all__ = [
    "CodeBenchmark",
    "EngineKind",
    "GradedBenchmark",
    "JudgedBenchmark",
    "Measure",
    "Method",
    "Metric",
    "Parser",
    "PromptText",
    "SelectionRule",
    "Setting",
    "StepKind",
    "setting",
]
