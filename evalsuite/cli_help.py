"""What ``--help`` says: plain text, so that it costs no import."""

OVERVIEW = """\
evalsuite: did this quantized checkpoint lose accuracy against its baseline?

usage: evalsuite COMMAND [KEY=VALUE ...] [--config-dir DIR] [-m]

{commands}

  evalsuite run suite=demo
  evalsuite run model=nvfp4_v2 suite=nightly
  evalsuite report run=ID

evalsuite COMMAND --help says more; --version. Exit codes: 0 done, 3 finished but incomplete, 64 bad input,
69 endpoint unusable, 70 our bug, 73 cell in use, 74 disk, 75 stopped (the same command goes on), 130/143 signals."""

FOOTER = """
Every key of the configuration can be given; a wrong one is answered with the names that exist.
--config-dir DIR adds your own files: DIR/model/mine.yaml begins with `# @package models.mine`."""

DOES = {
    "run": "ask the models, grade, report",
    "import": "grade answers recorded elsewhere",
    "report": "tables, plots and comparison.json of finished runs",
    "rescore": "grade stored replies again, without asking",
    "judge": "grade stored free answers with a judge, without asking the models",
    "show": "list runs, or one item in all precisions",
    "tasks": "what can run: benchmarks, models, suites",
    "fetch": "collect what a run without a network needs",
    "demo": "serve one embedded model in the foreground",
}
"""Command -> one line."""

KEYS = {
    "run": """\
  evalsuite run model=nvfp4_v2 suite=nightly

  model=NAME | 'model=[A,B]'     what is evaluated; `evalsuite tasks` lists all names
  task=NAME | 'task=[A,B]'       which benchmarks
  suite=NAME                     a named set of benchmarks (and models, and settings)
  limit=20                       items per task: stratified, seeded, nested
  tasks.T.KEY=VALUE              one benchmark: variant, repeats, select.groups.subject=[law], options.KEY ...
  models.M.KEY=VALUE             one model: base_url, concurrency, thinking, +models.M.headers.NAME=VALUE ...
  server@models.M.server=vllm    another server dialect: sglang, vllm, llama_cpp, openai
  sampling=card | card_literal   the model card's settings, with and without the fields that it does not state
  thinking=on | off              for all models; part of what is measured
  judge=NAME simulator=NAME      who grades free answers (later: evalsuite judge), who plays the user in dialogues
  data=local data.root=DIR       questions from DIR/<task>/<split>.jsonl[.gz] instead of the hub
  run_id=ID                      the run to add to or resume (else: the newest that fits, or a new one)
  launch=joblib | slurm | ray    processes of this machine, jobs, or tasks of a cluster (docs/scale.md)
  dry_run=true                   print the first full request of each task, send nothing
  redo=TASK reason="..."         archive a cell and ask again; redo=failed needs no reason
  -m, --multirun                 comma-separated values one after the other, all into one run
""",
    "import": """\
  evalsuite import task=mmlu_pro file=answers.jsonl name=NAME run_id=ID

  file=FILE                      lm-eval's samples_*.jsonl, a log of inspect (.eval), evalscope's reviews/*/*.jsonl, or
                                 JSONL with one answer a line
  name=NAME                      the model's name in the run
  id_field= text_field=          fields with item id and answer, where they are not found by themselves
  task=NAME tasks.T.variant=V    which benchmark, graded how
  data=local data.root=DIR       questions from a folder
""",
    "report": """\
  evalsuite report run=ID

  run=ID | 'run=[A,B]'           runs by id or folder
  results_dir=results            where runs lie
  baseline=NAME                  the model to compare with (else: each model's own)
  out=DIR                        report folder (else: <run>/report)
  card=NAME                      published values to show beside the measured ones
""",
    "rescore": """\
  evalsuite rescore run=ID task=gsm8k

  run=ID | 'run=[A,B]'           runs by id or folder
  results_dir=results            where runs lie
  task=NAME                      only this task
  data=local data.root=DIR       questions from a folder
""",
    "judge": """\
  evalsuite judge run=ID judge=qwen3_235b_instruct

  run=ID | 'run=[A,B]'           runs by id or folder: all their judged cells, by one judge in one pass
  judge=NAME judge.base_url=URL  who grades, and where it is served
  task=NAME                      only this task
  data=local data.root=DIR       questions from a folder
""",
    "show": """\
  evalsuite show
  evalsuite show run=ID task=NAME item=ID

  run=ID | 'run=[A,B]'           runs by id or folder; none lists all
  results_dir=results            where runs lie
  task=NAME item=ID              one item, in all precisions
  include_gated_text=true        answers to gated items, too: not for publication
""",
    "tasks": """\
  evalsuite tasks
""",
    "fetch": """\
  evalsuite fetch suite=nightly to=DIR

  task=NAME | suite=NAME         whose data, in the layout that data=local data.root=DIR reads
  to=evalsuite-data              folder to fill; what is there and unchanged is not loaded again
  wheels=true                    also evalsuite and all that it needs, for this Python and platform, into DIR/wheels
                                 (pip install --no-index --find-links DIR/wheels evalsuite)
""",
    "demo": """\
  evalsuite demo model=demo_fp8 port=8123

  model=NAME                     demo_bf16, demo_fp8, demo_nvfp4 or demo_nvfp4_v2
  port=8123                      0 takes a free one
""",
}
"""Command -> usage and the keys worth knowing."""


def overview() -> str:
    """The text of ``evalsuite --help``."""
    return OVERVIEW.format(commands="\n".join(f"  {name:<9} {does}" for name, does in DOES.items()))


def page(command: str) -> str:
    """The text of ``evalsuite COMMAND --help``."""
    return f"evalsuite {command}: {DOES[command]}\n\n{KEYS[command]}{FOOTER}"
