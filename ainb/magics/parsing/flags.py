"""Table of the options of ``%%ai``."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal, get_args

from ainb.magics.parsing import readers
from ainb.magics.parsing.readers import Reader
from ainb.messages import Effort, Form

FORMATS: tuple[str, ...] = get_args(Form)
EFFORTS: tuple[str, ...] = get_args(Effort)
# Options that require --each, by keyword.
EACH_ONLY = frozenset(
    {
        "limit", "sample", "retry_failed", "keep", "batch_api", "max_wait_seconds", "rows_per_call",
        "prompt_cache", "confirm_above_usd",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Flag:
    """One option of a magic.

    Attributes:
        name: Long form without its dashes, such as "max-tokens".
        short: Letter of the short form, or None.
        metavar: Placeholder of the value in the help; None means it takes no value.
        read: Parses the value; raises ValueError with what the option takes.
        value: The value of an option that takes none.
        key: Keyword under which the value arrives; empty means the name with underscores.
        goes_to: "call" is a keyword of `Session.make_call`, "body" is added to the request unchanged, "cell"
            is for the magic itself.
        repeats: Whether several values are collected (dicts into one dict, others into a tuple); otherwise
            the last one wins.
        choices: The possible values, for Tab; empty means any.
        help: One line.
        example: A line that can be typed.
    """

    name: str
    _: KW_ONLY
    short: str | None = None
    metavar: str | None = None
    read: Reader = readers.text
    value: Any = True
    key: str = ""
    goes_to: Literal["call", "body", "cell"] = "call"
    repeats: bool = False
    choices: tuple[str, ...] = ()
    help: str
    example: str

    @property
    def spellings(self) -> tuple[str, ...]:
        """As typed, long form first."""
        return (f"--{self.name}", f"-{self.short}") if self.short else (f"--{self.name}",)

    @property
    def keyword(self) -> str:
        """The keyword under which the value arrives."""
        return self.key or self.name.replace("-", "_")


# fmt: off
CELL_FLAGS: list[Flag] = [
    Flag("into", short="o", metavar="NAME", read=readers.name, goes_to="cell",
         help="bind the reply to NAME and show nothing", example="%%ai --into answer"),
    Flag("format", short="f", metavar="FORMAT", read=readers.one_of(*FORMATS, md="markdown"), choices=FORMATS,
         goes_to="cell",
         help=f"form of the reply: {', '.join(FORMATS)}; all but markdown and text add an instruction to "
              "the prompt", example="%%ai -f code"),
    Flag("system", metavar="TEXT", help="system message in front of the prompt",
         example='%%ai --system "Answer in one word."'),
    Flag("temperature", metavar="X", read=readers.number_from(0),
         help="randomness of the answer; 0 is the most repeatable", example="%%ai --temperature 0"),
    Flag("max-tokens", metavar="N", read=readers.whole_number, help="longest answer, in tokens",
         example="%%ai --max-tokens 200"),
    Flag("effort", metavar="LEVEL", read=readers.one_of(*EFFORTS), choices=EFFORTS,
         help=f"how much the model thinks: {', '.join(EFFORTS)}; an unsupported level becomes the nearest "
              "lower one", example="%%ai openai:gpt-6-luna --effort low"),
    Flag("model-parameters", short="m", metavar="JSON", read=readers.json_object, goes_to="body",
         help="any other parameter of the request", example='%%ai -m {"top_p": 0.9}'),
    Flag("timeout", metavar="SECONDS", read=readers.number_from(0, above=True), key="timeout_seconds",
         help="total time of this call", example="%%ai --timeout 20"),
    Flag("api-base", metavar="URL", read=readers.url, help="base URL, for this call only",
         example="%%ai openai:my-model --api-base http://127.0.0.1:8000/v1"),
    Flag("api-key-name", metavar="VARIABLE", read=readers.variable,
         help="environment variable that holds the key, for this call only",
         example="%%ai openai:gpt-5-mini --api-key-name TEAM_KEY"),
    Flag("chat", metavar="NAME", read=readers.chat_name, goes_to="cell",
         help="send the earlier turns of this chat as well and keep this one; running the cell again "
              "replaces its own turn", example="%%ai --chat report"),
    Flag("reset", short="r", goes_to="cell", help="delete the turns of --chat first",
         example="%%ai --chat report --reset"),
    Flag("fallback", metavar="MODEL[,MODEL]", read=readers.models,
         help="next models, in order, when this one is down or its circuit is open",
         example="%%ai openai:gpt-5-mini --fallback anthropic:claude-haiku-4-5,ollama:llama3.2"),
    Flag("image", metavar="NAME_OR_FILE", goes_to="cell", repeats=True,
         help="a picture in front of the prompt: a figure, an array, a PIL image, a file; may be given "
              "several times", example="%%ai openai:gpt-5-mini --image fig"),
    Flag("each", metavar="FRAME", goes_to="cell",
         help="one call per row of a DataFrame, Series, list or file: a name, a path or an expression such "
              "as 'df[df.stars < 3]'; {column} fills from the row; the result is a DataFrame",
         example="%%ai --each reviews --into labels"),
    Flag("limit", metavar="N", read=readers.whole_number, goes_to="cell",
         help="with --each: only the first N rows", example="%%ai --each reviews --limit 20"),
    Flag("sample", metavar="N", read=readers.whole_number, goes_to="cell",
         help="with --each: N rows drawn at random, the same ones each time",
         example="%%ai --each reviews --sample 20"),
    Flag("keep", metavar="COLUMN", goes_to="cell", repeats=True,
         help="with --each: copy an input column to the front of the result (repeatable; * for all)",
         example="%%ai --each reviews --keep rating"),
    Flag("retry-failed", goes_to="cell",
         help="with --each: send the rows again that failed in the last run of this cell",
         example="%%ai --each reviews --retry-failed"),
    Flag("confirm-above", metavar="USD", read=readers.usd, key="confirm_above_usd", goes_to="cell",
         help="with --each: ask before anything is sent when the forecast is above USD",
         example="%%ai --each reviews --confirm-above 5"),
    Flag("rows-per-call", metavar="N", read=readers.whole_number, goes_to="cell",
         help="with --each and --schema: N rows in one call, each with its own answer; 10 to 25 is a good "
              "range, compare with 1 on rows with known labels",
         example='%%ai --each reviews --schema "label: good|bad" --rows-per-call 20'),
    Flag("prompt-cache", metavar="auto|off", read=readers.one_of("auto", "off"), goes_to="cell",
         help="with --each: off sends the prompt as one text; auto marks the part before the first column "
              "for the provider's prompt cache", example="%%ai --each reviews --prompt-cache off"),
    Flag("batch-api", goes_to="cell",
         help="with --each: send the rows as batch jobs of the provider, at half the price; answers come "
              "within 24 hours", example="%%ai --each reviews --batch-api"),
    Flag("max-wait", metavar="SECONDS", read=readers.seconds, key="max_wait_seconds", goes_to="cell",
         help="with --batch-api: how long the cell waits; the jobs continue, and running the cell again "
              "collects them", example="%%ai --each reviews --batch-api --max-wait 10m"),
    Flag("stream", goes_to="cell",
         help="show the reply while it arrives; default when a user is watching", example="%%ai --stream"),
    Flag("no-stream", value=False, key="stream", goes_to="cell",
         help="show the reply only when it is complete", example="%%ai --no-stream"),
    Flag("schema", metavar="NAME_OR_FIELDS", read=readers.schema, goes_to="cell",
         help="the reply must match this pydantic model, dataclass, TypedDict, type or JSON schema, or "
              'fields written in place, as in "label: positive|negative, score: int 0..10, tags: [str], '
              'why: str?"; Reply.parsed holds it', example="%%ai --schema Label --into label"),
    Flag("no-cache", value="off", key="cache", help="neither use stored answers nor store new ones",
         example="%%ai --no-cache"),
    Flag("refresh", value="refresh", key="cache", help="send the call again and overwrite the stored answer",
         example="%%ai --refresh"),
    Flag("ttl", metavar="SECONDS", read=readers.seconds, key="ttl_seconds",
         help="age up to which a stored answer is used; 90m, 24h and 7d are read too",
         example="%%ai --ttl 3600"),
    Flag("budget", metavar="USD", read=readers.usd, key="budget_usd", help="cost limit of this cell",
         example="%%ai --budget 0.50"),
    Flag("user", metavar="NAME",
         help="user of the call, stored in the usage row; each user has a budget of their own",
         example="%%ai --user ann"),
    Flag("tag", metavar="KEY=VALUE", read=readers.label, key="tags", repeats=True,
         help="label for the usage row; may be given several times",
         example="%%ai --tag team=search --tag run=7"),
    Flag("dry-run", goes_to="cell",
         help="show the prompt as it would be sent, tokens and price; send nothing",
         example="%%ai --dry-run"),
]
# fmt: on
