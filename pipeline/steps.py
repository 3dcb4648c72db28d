"""The flow: every step, the stages it is made of, and how rows pass through it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable

import pyarrow as pa
import pyarrow.compute as pc

from manifests import columns, files, verdicts
from manifests.errors import ManifestError
from manifests.manifest import Manifest, put
from manifests.store import digest_name, part_name
from pipeline import stock as stocks
from pipeline.context import Context, Timer
from pipeline.recipe import Recipe
from pipeline.shards import is_packed, write_shards
from pipeline.worker import given_to
from stages.base import Stage
from stages.caption.captions import CaptionClips
from stages.caption.choose import ChooseText
from stages.dedup.keep import MarkDuplicates, agree, groups
from stages.dedup.neighbours import FindNeighbours
from stages.dedup.phash import HashFrames
from stages.ingest import gather, listing
from stages.ingest.content import HashContent
from stages.ingest.probe import ProbeAsset
from stages.mix.budget import FitBudget
from stages.mix.compose import ComposeSamples
from stages.pack.cut import CutMedia
from stages.pack.plan import PlanShards
from stages.score.aesthetic import RateAesthetics
from stages.score.classify import ClassifyFrames
from stages.score.embed import EmbedFrames
from stages.score.faces import CountFaces
from stages.score.objects import CountObjects
from stages.score.ocr import ReadText
from stages.score.own import CallScorer
from stages.score.pixels import MeasureFrames
from stages.score.speech import HearSpeech
from stages.score.texts import ScoreCaptions, ScoreTexts
from stages.score.wording import MeasureTexts
from stages.split.predict import PredictBoundaries
from stages.split.segments import CutSegments
from stages.split.shots import SplitByModel, SplitShots
from stages.split.tiny import StoreTinyFrames

# Each step's stages in their order: the edges of the DAG are their `reads` and `writes`.
SHAPES: dict[str, tuple[type[Stage], ...]] = {
    "ingest": (HashContent, ProbeAsset),
    "split": (CutSegments, StoreTinyFrames, PredictBoundaries, SplitShots, SplitByModel, HashFrames),
    "score": (
        *(MeasureFrames, EmbedFrames, ScoreTexts, MeasureTexts, RateAesthetics),
        *(ReadText, CountFaces, HearSpeech, ClassifyFrames, CountObjects),
        CallScorer,
    ),
    "filter": (),
    "dedup": (FindNeighbours, MarkDuplicates),
    "caption": (CaptionClips, ScoreCaptions, ChooseText),
    "mix": (ComposeSamples, FitBudget),
    "pack": (CutMedia, PlanShards),
}
# What rows carry before their step's first stage: listing gives it, no stage writes it.
GIVEN = {"ingest": (*gather.ASSET, "modified_ns"), "dedup": ("route",)}


def run_steps(context: Context, only: Iterable[str] = ()) -> None:
    """Run the steps in their order, or only the named ones on what the earlier ones left.

    A step whose inputs, settings and rules are those of its record is left as it is.
    Raises ManifestError when a step that is needed has not been run.
    """
    chosen = set(only) or set(SHAPES)
    before = ""
    for step, function in STEPS.items():
        if step in chosen:
            context.log.begin(step)
            with Timer() as timer:
                function(context, before)
            context.log.end(step, timer.wall_s)
            _tell(context, step)
        before = step


def _tell(context: Context, step: str) -> None:
    counts = Manifest.open(context.out, step).record["counts"]
    parts = [f"{counts['rows']} rows", f"{counts['live']} live"]
    for fate in ("rejected", "duplicates", "failed"):
        number = sum(counts[fate].values())
        parts += [f"{number} {fate}"] if number else []
    numbers = context.log.steps[step]
    work = f"{numbers['decodes']:.0f} decodes, {numbers['model_calls']:.0f} model calls"
    context.log.say(f"{step}: {', '.join(parts)}  [{numbers['wall_s']:.1f} s, {work}]")


def ingest(context: Context, _: str) -> None:
    """List every source, hash what is new, make assets of equal bytes, probe them, judge their facts."""
    found = [e for source in context.recipe.sources for e in listing.list_entries(source.uri, source.corpus)]
    entries = listing.entry_table(found)
    if not pc.any(to_hash(entries)).as_py():
        _nothing_to_read(context)
    if context.up_to_date("ingest", inputs := ingest_inputs(context, entries)):
        return
    hashed, probe = context.recipe.stages["ingest"]
    sources = gather.gather_sources(_hashed(context, entries, hashed))
    stock = stocks.bucketed(gather.gather_assets(sources), gather.unread(sources))
    stock = context.chain("ingest", (probe,), stock)
    stock = stocks.judged(stock, context.rules("ingest"), "ingest")
    context.commit("ingest", stock, inputs, {"sources": sources.drop_columns("location")})


def _nothing_to_read(context: Context) -> None:
    """No file is a corpus for the first run; after a run that had assets it is a disk that is not there."""
    context.log.say("ingest: the sources hold no file that can be read")
    earlier = Manifest.find(context.out, "ingest")
    if earlier and (live := earlier.record["counts"]["live"]):
        places = ", ".join(source.uri for source in context.recipe.sources)
        raise ManifestError(
            f"{places}: no file that can be read, but {context.out} holds the work on {live} assets of an "
            f"earlier run, and its datasets would be emptied; mount or name the media and run again, or "
            f"remove {context.out} to begin anew"
        )


def ingest_inputs(context: Context, entries: pa.Table) -> str:
    """The digest of all that decides ingest: every listed file as it is now, stages, rules."""
    value = entries.select(["id", "source_texts", "role", "error"]).sort_by("id").to_pylist()
    return context.inputs("ingest", hashlib.sha256(json.dumps(value).encode()).hexdigest())


def to_hash(entries: pa.Table) -> pa.ChunkedArray:
    """Which entries are read: media that listing did not refuse."""
    return pc.and_(pc.is_null(entries["error"]), pc.equal(entries["role"], "media"))


def _hashed(context: Context, entries: pa.Table, stage: Stage) -> pa.Table:
    """Entries with the id of their asset; those that listing refused, and texts, are not read."""
    rows = entries.filter(to_hash(entries)).drop_columns(["error", "role"])
    none = pa.nulls(len(rows), pa.string())
    rows = rows.append_column("parent_id", none).append_column("asset_id", none)
    stock = context.chain("ingest", (stage,), stocks.single(rows))
    done, given = stock.read("")
    done = verdicts.with_fates(done, given)
    at = pc.index_in(entries["id"], value_set=done["id"])
    errors = pc.coalesce(entries["error"], done["error"].take(at))
    entries = entries.set_column(entries.column_names.index("error"), "error", errors)
    return entries.append_column("asset_id", done["asset_id"].take(at))


def split(context: Context, before: str) -> None:
    """One decode per asset: shots, measures, small frames; then their hashes."""
    _rows_step(context, "split", before)


def score(context: Context, before: str) -> None:
    """One column a measure, by models that see the stored frames."""
    _rows_step(context, "score", before)


def filter_(context: Context, before: str) -> None:
    """Judge the rules that follow split and score: stored numbers only."""
    _rows_step(context, "filter", before)


def _rows_step(context: Context, step: str, before: str) -> None:
    """A step of stages that see one row at a time, and of rules."""
    earlier = Manifest.open(context.out, before)
    if context.up_to_date(step, inputs := context.inputs(step, earlier.digest)):
        return
    stock = context.chain(step, context.recipe.stages[step], stocks.committed(earlier))
    rules = context.rules(step)
    if step == "filter":
        stock = stocks.routed(stock, rules)
    context.commit(step, stocks.judged(stock, rules, step), inputs, {})


def check_dedup(recipe: Recipe) -> None:
    """Raises RecipeError when the two stages of dedup do not fit together."""
    find, mark = recipe.stages["dedup"]
    assert isinstance(find, FindNeighbours) and isinstance(mark, MarkDuplicates)
    agree(find, mark)


def dedup(context: Context, before: str) -> None:
    """Find the neighbours among all measured rows, then keep one of each group of the live ones."""
    earlier = Manifest.open(context.out, before)
    if context.up_to_date("dedup", inputs := context.inputs("dedup", earlier.digest)):
        return
    find, mark = context.recipe.stages["dedup"]
    assert isinstance(find, FindNeighbours) and isinstance(mark, MarkDuplicates)
    pairs = _pairs(context, earlier, find)
    stock = stocks.committed(earlier)
    given = mark.run(stock.all_live(["id", *mark.reads]), pairs)
    tables = {"pairs": pairs, "groups": groups(given)}
    context.commit("dedup", stocks.ruled(stock, given), inputs, tables)


def _pairs(context: Context, earlier: Manifest, find: FindNeighbours) -> pa.Table:
    """The neighbour graph: of all measured rows, live or not, so that no rule's threshold changes it."""
    small = [name for name in find.reads if not columns.column(name).side]
    sides = [name for name in find.reads if columns.column(name).side]
    rows = earlier.all_rows(["id", *small, *map(digest_name, sides), *map(part_name, sides)])
    measured = rows.filter(pc.is_valid(rows["content_hash"])).sort_by("id")
    content = _content(measured.drop_columns([part_name(name) for name in sides]))
    key = hashlib.sha256(json.dumps([find.fingerprint(), content]).encode()).hexdigest()[:16]
    folder = context.out / "dedup" / f"{find.name}-{key}"
    kept = sorted(folder.glob("pairs-*.parquet"))
    if not kept:
        pairs = find.run(given_to(context.out, find, measured))
        kept = [files.keep_table(folder, "pairs-{}.parquet", pairs)]
    return files.read_table(context.out, kept[0])


def _content(rows: pa.Table) -> str:
    """The digest of a table's values, by their Arrow bytes."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows.combine_chunks())
    return hashlib.sha256(sink.getvalue()).hexdigest()


def caption(context: Context, before: str) -> None:
    """Write captions, score them, choose the text that goes with each clip; judge the rules that follow."""
    _rows_step(context, "caption", before)


def mix(context: Context, before: str) -> None:
    """Compose a training sample of each row, and take as many as the budget holds."""
    earlier = Manifest.open(context.out, before)
    if context.up_to_date("mix", inputs := context.inputs("mix", earlier.digest)):
        return
    compose, fit = context.recipe.stages["mix"]
    assert isinstance(fit, FitBudget)
    stock = context.chain("mix", (compose,), stocks.committed(earlier))
    given = fit.run(stock.all_live(["id", *fit.reads]))
    context.commit("mix", stocks.ruled(stock, given), inputs, {})


def pack(context: Context, before: str) -> None:
    """Cut the survivors, plan which sample goes where, write shards and cards."""
    earlier = Manifest.open(context.out, before)
    done = context.up_to_date("pack", inputs := context.inputs("pack", earlier.digest))
    if done and is_packed(done):
        return
    cut, plan = context.recipe.stages["pack"]
    assert isinstance(plan, PlanShards)
    stock = context.chain("pack", (cut,), stocks.committed(earlier))
    places = plan.run(stock.all_live(["id", *plan.reads]))
    # From here to the commit the shards change: whoever reads the record finds none.
    (context.out / "pack" / "record.json").unlink(missing_ok=True)
    put(context.out / "pack", "plan", places)
    packed = write_shards(context, stock, places)
    context.commit("pack", stocks.joined(stock, _placed(places)), inputs, {"plan": places, "files": packed})


def _placed(plan: pa.Table) -> pa.Table:
    """The plan as columns of rows: which file holds the sample, and where in it."""
    folder = pc.binary_join_element_wise(plan["dataset"], "shards", plan["shard"], "/")
    shard = pc.binary_join_element_wise(folder, "tar", ".")
    return pa.table({"id": plan["id"], "shard": shard, "shard_index": plan["shard_index"]})


STEPS: dict[str, Callable[[Context, str], None]] = {
    "ingest": ingest,
    "split": split,
    "score": score,
    "filter": filter_,
    "dedup": dedup,
    "caption": caption,
    "mix": mix,
    "pack": pack,
}
