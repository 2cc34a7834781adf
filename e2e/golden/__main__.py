"""`python -m e2e.golden`: write the golden files anew."""

from pathlib import Path

from e2e.golden.decoded import otlp, text
from netra_node.telemetry.schemas import NAMES


def main() -> None:
    for schema in NAMES:
        Path(__file__).with_name(f"{schema}.json").write_text(text(otlp(schema)))


if __name__ == "__main__":
    main()
