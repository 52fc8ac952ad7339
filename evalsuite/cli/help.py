"""The text of ``--help``, in plain strings that cost no import."""

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
    "plan": "what a run can decide and what it costs, before a token is spent",
    "report": "tables, plots, report.html, card.md and comparison.json of finished runs",
    "gate": "pass, fail or undecided against margins: exit 0, 1, 2",
    "baseline save": "a model's cells as one portable, hashed file",
    "rescore": "grade stored replies again, without asking",
    "judge": "grade stored free answers with a judge, without asking the models",
    "forget": "archive a cell that was a mistake, with the reason",
    "show": "list runs, or one item in all precisions",
    "tasks": "what can be named: benchmarks, models, suites, cards, gates, judges, hardware",
    "tasks new": "the configuration of a task of your own, over a JSONL file of questions",
    "models new": "the configuration of a model of your own, from its server and its checkpoint",
    "fetch": "collect what a run without a network needs",
    "demo": "serve one embedded model in the foreground",
    "doctor": "is every endpoint what it should be? asks a few short questions",
    "release": "one candidate from its servers to a signed decision: exit 0, 1, 2, or 75 and the next server",
    "probe": "is a candidate's arithmetic sane? reads stored answers of the baseline again",
}
"""Command -> one line."""

KEYS = {
    "run": """\
  evalsuite run model=nvfp4_v2 suite=nightly

  model=NAME | 'model=[A,B]'     what is evaluated; `evalsuite tasks` lists all names
  'urls=[URL,URL]'               two servers that no file describes, the first being the baseline
  task=NAME | 'task=[A,B]'       which benchmarks; lm_eval:NAME is a task of lm-eval, with the key lm_eval_NAME
  suite=NAME                     a named set of benchmarks (and models, and settings)
  limit=20                       items per task: stratified, seeded, nested
  tasks.T.KEY=VALUE              one benchmark: variant, repeats, select.groups.subject=[law], options.KEY ...
  models.M.KEY=VALUE             one model: base_url, concurrency, thinking, +models.M.headers.NAME=VALUE ...
  server@models.M.server=vllm    another server dialect: sglang, vllm, llama_cpp, openai
  sampling=card | card_literal   the model card's settings, with and without the fields that it does not state
  thinking=on | off              for all models; part of what is measured
  judge=NAME simulator=NAME      who grades free answers (later: evalsuite judge), who plays the user in dialogues
  data.root=DIR                  questions from DIR/<task>/<split>.jsonl[.gz] instead of the hub
  run_id=ID                      the run to add to or resume (else: the newest that fits, or a new one)
  launch=joblib | slurm | ray    processes of this machine, jobs, or tasks of a cluster (docs/guide/scale.md)
  dry_run=true                   print the first full request of each task, send nothing
  redo=TASK reason="..."         archive a cell and ask again; redo=failed needs no reason
  engine.deadline=3h50m | slurm  send nothing that would not end in time, let the rest finish, exit 75; also a UTC time
  engine.token_budget=N          nothing new starts after N generated tokens; exit 75
  engine.stop=sequential gate=G  both arms of a comparison stop when its verdict against the gate's margins is decided
  engine.outage_seconds=1800     how long a server that has gone is waited for, at no attempt's cost; then exit 75
  'models.M.base_url=[URL,URL]'  replicas: requests go where there is most room, and on while one of them is down
  engine.probe_answer=false      do not refuse a server whose answer to "What is 2 + 2?" is not 4 (base models)
  accept_degenerate="reason"     score a cell although half of its answers are loops, empty or garbled
  aa=true                        every model twice, interleaved, with other seeds: how much two runs of one model differ
  -m, --multirun                 comma-separated values one after the other, all into one run
""",
    "import": """\
  evalsuite import task=mmlu_pro file=answers.jsonl name=NAME run_id=ID

  file=FILE                      lm-eval's samples_*.jsonl, a log of inspect (.eval), evalscope's reviews/*/*.jsonl,
                                 output*.jsonl of NeMo-Skills or sgl-eval, or JSONL with one answer a line; also
                                 '[A,B]', a pattern or a folder
  accept_log_disagreement="..."  why a log is scored although its own verdicts differ from ours on over 2 %
  name=NAME                      the model's name in the run
  id_field= text_field=          fields with item id and answer, where they are not found by themselves
  task=NAME tasks.T.variant=V    which benchmark, graded how
  data.root=DIR                  questions from a folder
""",
    "plan": """\
  evalsuite plan 'model=[fp8,nvfp4_v2]' suite=release rate=2500 window=4h hardware=b300x8

  model= task= suite= limit=     as for run; nothing is sent and no data is loaded
  gate=NAME                      margins to be decided (else: conf/gate/release.yaml)
  rate=2500                      generated tokens a second of one endpoint at the run's concurrency: gives hours
  window=4h                      length of one window: how many it takes, and what fits none
  hardware=b300x8                a machine of conf/hardware: what fits side by side, serving order, launch commands
  baseline_run=FILE              a baseline artefact whose scores, repeats and lengths are used (else: the baseline's
                                 cells in results_dir, else typical values of tasks/*/card.yaml)
  to=FILE                        the plan as JSON, too (docs/reference/plan.md)
  output=json                    one JSON document instead of tables (docs/reference/json.md)
""",
    "report": """\
  evalsuite report run=ID

  run=ID | 'run=[A,B]'           runs by id or folder
  results_dir=results            where runs lie
  baseline=NAME                  the model to compare with (else: each model's own)
  baseline_run=FILE | RUN        a baseline artefact (`evalsuite baseline save`), or another run that holds it
  baseline_max_gb=50             most gigabytes that the artefact may unpack to
  gate=NAME                      a verdict on every row, against these margins (evalsuite gate decides)
  varies=[speculative]           server facts in which arms of one checkpoint differ on purpose: effects of checkpoint,
                                 server and both, each by itself (run, gate and models.M take it as well)
  limit=20                       only this part of each task, as `run limit=20` asks it; nothing on disk changes
  allow_incomplete=0.05          bound up to this share of missing answers: all wrong ... all right
  out=DIR                        report folder (else: <run>/report): report.html with its texts/, report.md, card.md,
                                 hub/ (metadata for the model's page), tables/*.csv, plots/, comparison.json
  report.svg=true                plots/ as SVG, too (evalsuite run takes it as well)
  card=NAME                      published values beside the measured ones: reproduced, not reproduced, not comparable;
                                 without run= the card alone is checked (possible numbers, intervals)
  output=json                    one JSON document instead of tables (docs/reference/json.md)
""",
    "gate": """\
  evalsuite gate run=ID gate=release
  evalsuite gate run=ID gate=release baseline_run=fp8.baseline

  run=ID | 'run=[A,B]'           runs by id or folder
  gate=NAME                      the margins: release, demo, or your own in --config-dir DIR/gate/NAME.yaml
  gate.margins.T.points=2        one margin; gate.suite_points= gate.tokens_ratio_max= gate.alpha=
  baseline=NAME                  the model to compare with (else: each model's own)
  baseline_run=FILE | RUN        a baseline artefact (`evalsuite baseline save`), or another run that holds it
  baseline_max_gb=50             most gigabytes that the artefact may unpack to
  baseline_waiver="reason"       use a baseline that is far from its published value all the same
  accept_degenerate="reason"     use cells of which half of the answers are loops, empty or garbled
  allow_incomplete=0.05          missing answers, up to this share, are bounded: the verdict must hold whether they
                                 were all wrong or all right (else: exit 3 and no verdict)
  model=NAME                     only this candidate
  accepted=FILE                  gate=drift: the accepted checkpoint's artefact, where baseline_run is of another one
  out=DIR                        where verdict.json and junit.xml go (else: <run>/report)
  format=day0                    day0.json, too: the verdict in the shape of NVIDIA's public day-0 gate
  output=json                    one JSON document instead of tables (docs/reference/json.md)

  exit 0 pass, 1 fail, 2 undecided: only after a verdict was computed; everything else has another code
""",
    "baseline save": """\
  evalsuite baseline save run=ID model=fp8 to=fp8.baseline

  run=ID | 'run=[A,B]'           runs by id or folder
  model=NAME                     whose cells; they must be complete
  task=NAME                      only this task
  to=FILE                        the file that is written; never overwritten with another content
""",
    "rescore": """\
  evalsuite rescore run=ID task=gsm8k

  run=ID | 'run=[A,B]'           runs by id or folder
  results_dir=results            where runs lie
  task=NAME                      only this task
  data.root=DIR                  questions from a folder
""",
    "judge": """\
  evalsuite judge run=ID judge=qwen3_235b_instruct

  run=ID | 'run=[A,B]'           runs by id or folder: all their judged cells, by one judge in one pass
  judge=NAME judge.base_url=URL  who grades, and where it is served
  task=NAME                      only this task
  data.root=DIR                  questions from a folder
""",
    "forget": """\
  evalsuite forget run=ID model=fp8 task=gsm8k reason="wrong chat template"

  run=ID model=M task=T          the cell, as `evalsuite show` lists it; it moves to <run>/<model>/superseded/
  reason="..."                   why; reports show it, as they show a cell that was asked again (redo=)
""",
    "show": """\
  evalsuite show
  evalsuite show run=ID task=NAME item=ID

  run=ID | 'run=[A,B]'           runs by id or folder; none lists all, each cell with its state: running, incomplete,
                                 complete (no table yet), sealed, superseded (asked again) or damaged
  results_dir=results            where runs lie
  task=NAME                      only this task
  task=NAME item=ID              one item in all precisions, the first difference from the baseline marked
  repeat=N                       only this repeat of it, from 0
  include_gated_text=true        answers to gated items, too: not for publication
  output=json                    one JSON document instead of tables (docs/reference/json.md)
""",
    "tasks": """\
  evalsuite tasks
  evalsuite tasks output=json

  Benchmarks, models, suites, published cards, gates, judges, simulators and machines, shipped and your own.
  output=json                    one JSON document instead of tables (docs/reference/json.md)
""",
    "tasks new": """\
  evalsuite tasks new mine file=questions.jsonl

  file=FILE                      JSONL, one question a line; names of fields are found, or written into the file below
  --config-dir DIR               where task/NAME.yaml is written (else: mine)
""",
    "models new": """\
  evalsuite models new mine checkpoint=ORG/REPO base_url=http://HOST:PORT/v1

  checkpoint=ORG/REPO | DIR      whose generation_config.json, config.json, hf_quant_config.json, chat template and
                                 README.md are read (else: what the server states); the hub need not be reachable
  base_url=URL                   the server; its family and facts are found, no question is asked
  --config-dir DIR               where model/NAME.yaml is written (else: mine), every value with its source
""",
    "fetch": """\
  evalsuite fetch suite=nightly to=DIR

  task=NAME | suite=NAME         whose data, in the layout that data.root=DIR reads
  to=evalsuite-data              folder to fill; what is there and unchanged is not loaded again
""",
    "demo": """\
  evalsuite demo model=demo_fp8 port=8123

  model=NAME                     demo_bf16, demo_fp8, demo_nvfp4 or demo_nvfp4_v2
  port=8123                      0 takes a free one
  noise=7                        a seed: rounds at random, as another kernel would; no two answers need be equal
""",
    "doctor": """\
  evalsuite doctor 'model=[fp8,nvfp4_v2]' suite=card

  model=NAME | 'model=[A,B]'     endpoints to be looked at; judge=NAME too, and the simulator of a dialogue task
  task=NAME | suite=NAME         what they must be able to do: context, pictures, tools
  results_dir=results            whose models they are held against (nothing is written there)
  engine.fingerprint=false       do not ask the 20 short questions that tell checkpoints apart
  to=FILE                        checks, facts and fingerprints as JSON
  output=json                    one JSON document instead of tables (docs/reference/json.md)

  First a table of all that a run would lack here: data, packages, judge, simulator, keys, sandbox, disk.
  Exit 0, 69 when an endpoint cannot be used, or 64 when a run would not start for want of something else.
""",
    "release": """\
  evalsuite release model=nvfp4_v2 baseline=fp8 suite=card

  model=NAME                     the candidate; baseline=NAME or baseline_run=FILE, else its own baseline
  suite=NAME gate=NAME           what is asked, and the margins (else: those of the suite's name: card, release, quant)
  judge=NAME simulator=NAME      as for run
  run_id=ID                      else release-NAME; the same command goes on where it stopped

  Plans, reads the baseline again at the candidate (probe), asks both models, judges, reports and decides. Servers need
  not be up together: what is missing ends with 75 and its launch command. Writes report/release.html beside the report.
  Exit 0 pass, 1 fail, 2 undecided.
""",
    "probe": """\
  evalsuite probe model=nvfp4_v2 baseline_run=ID

  model=NAME | 'model=[A,B]'     the candidates; the baseline itself (model=fp8) reads its answers and keeps the result
                                 in results_dir, so that it need not be served beside them
  baseline_run=ID | FILE         the run, or baseline artefact, whose stored answers are read
  answers=200                    how many of them: by subject, right and wrong ones
  accepted=FILE                  probe/NAME.json of the last accepted candidate of this precision: alarms are sizes
                                 relative to it (divergence x 10, other likeliest tokens x 2, one subject x 5)
  data.root=DIR                  questions from a folder
  run_id=ID to=FILE              where the result goes (to= for one candidate; else: probe/ in the baseline's run)

  Servers: vLLM, SGLang, the demo. Exit 0 no alarm, 1 alarm, 3 nothing can be seen here. Never a pass.
""",
}
"""Command -> usage and the keys worth knowing."""


def overview() -> str:
    """The text of ``evalsuite --help``."""
    return OVERVIEW.format(commands="\n".join(f"  {name:<13} {does}" for name, does in DOES.items()))


def command_help(command: str) -> str:
    """The text of ``evalsuite COMMAND --help`` for a key of ``DOES``."""
    return f"evalsuite {command}: {DOES[command]}\n\n{KEYS[command]}{FOOTER}"
