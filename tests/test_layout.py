"""Where tests live: netra_node/a/b.py is tested by tests/a/test_b.py and by nothing else."""

from pathlib import Path

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "netra_node"
NO_LOGIC = {"__init__.py", "__main__.py"}
#: The core as a whole, beside other readers of HTTP: of no module, and pure, so not e2e.
OF_A_LAYER = {Path("core/test_differential_parsing.py")}

MODULES = {
    module.relative_to(PACKAGE).with_name(f"test_{module.name}")
    for module in PACKAGE.rglob("*.py")
    if module.name not in NO_LOGIC
}
TEST_FILES = {file.relative_to(TESTS) for file in TESTS.rglob("test_*.py")} - {
    Path(__file__).relative_to(TESTS)
}


def test_every_module_has_its_own_test_file() -> None:
    assert sorted(map(str, MODULES - TEST_FILES)) == []


def test_every_test_file_has_its_module() -> None:
    assert sorted(map(str, TEST_FILES - MODULES - OF_A_LAYER)) == []
