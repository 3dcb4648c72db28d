"""The command line: thin verbs, each over one function; heavy modules are imported when a verb needs them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from manifests.errors import ManifestError, RecipeError

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)

OutOption = Annotated[Path, typer.Option("--out", help="The work directory.")]
SetOption = Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help="Change a setting of the recipe.")]
InOption = Annotated[list[str], typer.Option("--in", metavar="URI", help="Take media from here, not from the recipe's sources.")]
RecipeArgument = Annotated[str, typer.Argument(help="A shipped recipe's name, or a .toml file.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
OutArgument = Annotated[Path, typer.Argument(help="The work directory of a run.")]


def main() -> None:
    """Run the command; exit code 0 done, 1 findings or a directory that cannot be used, 2 wrong usage or recipe."""
    try:
        app(standalone_mode=False)
    except RecipeError as error:
        _end(f"recipe: {error}", 2)
    except ManifestError as error:
        _end(str(error), 1)
    except typer.Exit as ended:
        sys.exit(ended.exit_code)
    except typer.Abort:
        _end("interrupted; the same command goes on where this one stopped", 130)
    except Exception as error:
        usage = getattr(error, "format_message", None)
        if usage is None:
            raise
        _end(f"usage: {usage()}", 2)


def _end(message: str, code: int) -> None:
    print(f"reelmix: {message}", file=sys.stderr)
    sys.exit(code)


@app.command()
def run(
    recipe: RecipeArgument = "default",
    only: Annotated[list[str], typer.Option("--only", metavar="STEP", help="Run these steps only.")] = [],  # noqa: B006
    source: InOption = [],  # noqa: B006
    out: OutOption = Path("out"),
    settings: SetOption = [],  # noqa: B006
    address: Annotated[str | None, typer.Option(help="A running Ray cluster.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Run a recipe; what is already done is not done again."""
    from pipeline.drive import run_recipe
    from pipeline.inspect import summary

    run_recipe(recipe, out, sources=source, settings=settings, only=only, address=address)
    if as_json:
        _print(summary(out))


def _print(value: Any) -> None:
    print(json.dumps(value, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
