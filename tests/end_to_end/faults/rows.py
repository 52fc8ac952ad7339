"""The 56 rows of the fault table, and for each what shows that it is met: a test, or why none can be run here.

``test_rows.py`` beside this file holds every case named here; other entries are tests elsewhere, by file and
function.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One fault."""

    what: str
    tests: tuple[str, ...] = ()
    """``case:NAME`` of ``cases.py``, or ``path::function``."""
    why_not: str = ""
    """Why it cannot be tested on one machine, or which part of it."""


POOL = "tests/end_to_end/faults/test_pool.py::"
RUN = "tests/engine/test_session.py::"
LCR = "tests/tasks/test_aa_lcr.py::"
BOX = "tests/sandbox/test_client.py::"
MACHINE = "tests/end_to_end/faults/test_machine.py::"
LASTING = "tests/end_to_end/faults/test_rows.py::test_an_outage_that_lasts_stops_the_run_and_the_same_command_goes_on"

ROWS: dict[int, Row] = {
    1: Row(
        "429 with Retry-After in seconds",
        ("case:429 seconds", POOL + "test_concurrency_falls_when_the_server_refuses_and_recovers"),
    ),
    2: Row("429 with Retry-After as a date", ("case:429 date", "tests/endpoint/test_reply.py::test_retry_after")),
    3: Row("429 without, or with garbage in, Retry-After", ("case:429 garbage", "case:429 bare")),
    4: Row("500 on one sample", ("case:500", POOL + "test_an_engine_that_died_behind_a_living_server_is_an_outage")),
    5: Row(
        "502, 503, 504", ("case:502", "case:503", "case:504", POOL + "test_a_gateway_is_waited_for_without_an_attempt")
    ),
    6: Row("reset before the headers", ("case:reset before headers", POOL + "test_a_bad_question_is_no_outage")),
    7: Row("reset inside the stream", ("case:reset in the stream", "case:end in the stream")),
    8: Row("half a stream, then silence", ("case:half a stream, then silence",)),
    9: Row("a stream without finish reason and [DONE]", ("case:no finish reason",)),
    10: Row("hung, no headers", ("case:hung", "case:headers, then silence")),
    11: Row("malformed JSON", ("case:bad JSON", "case:other JSON", "case:another protocol")),
    12: Row("200 and a proxy's page", ("case:HTML",)),
    13: Row("200 and no choices", ("case:no choices",)),
    14: Row(
        "reasoning and no answer",
        ("case:only reasoning", "tests/end_to_end/faults/test_rows.py::test_what_bears_on_the_scores_is_said"),
    ),
    15: Row("no token at all", ("case:empty",)),
    16: Row("finish reason missing or unknown", ("case:unknown finish", "case:whole body, no finish")),
    17: Row("finish reason abort or error", ("case:abort", "case:error event")),
    18: Row("finish reason length", ("case:length",)),
    19: Row("stop at the token cap", ("case:stop at the cap",)),
    20: Row("content filter", ("case:content filter",)),
    21: Row(
        "chunks twice or out of order",
        ("case:chunks twice",),
        "chunks that changed places or are missing cannot be told from text without the model's tokenizer",
    ),
    22: Row("usage missing", ("case:no usage",)),
    23: Row("tool arguments that are no JSON", ("tests/tasks/test_tau2_telecom.py::test_odd_arguments_end_no_run",)),
    24: Row(
        "a tool call as text",
        ("tests/endpoint/identity/test_probes.py::test_a_server_without_a_tool_parser_is_refused_with_the_cure",),
    ),
    25: Row(
        "400 context overflow", ("case:overflow", RUN + "test_a_prompt_that_does_not_fit_is_the_items_own_outcome")
    ),
    26: Row("other 400 and 422", ("case:400 at first", "case:400 after success", "case:400 five in a row")),
    27: Row("401, 403", ("case:401", "case:403")),
    28: Row("404", ("case:404",)),
    29: Row(
        "DNS failure",
        (
            "tests/end_to_end/faults/test_rows.py::test_a_name_that_nobody_knows",
            MACHINE + "test_a_name_that_stops_resolving_is_an_outage",
        ),
    ),
    30: Row("bad certificate", ("tests/endpoint/test_client.py::test_a_certificate_is_trusted_by_its_ca_file_only",)),
    31: Row(
        "the server restarts",
        (
            POOL + "test_a_crash_costs_no_attempt_and_loses_no_answer",
            LASTING,
            POOL + "test_who_is_there_is_asked_before_anything_is_sent_after_an_outage",
        ),
    ),
    32: Row(
        "one replica is another model",
        (
            "tests/cli/test_doctor.py::test_replicas_that_are_not_the_same",
            "tests/cli/test_doctor.py::test_a_load_balancer_in_front_of_two_precisions",
        ),
    ),
    33: Row("another model's name in the reply", ("case:wrong model",)),
    34: Row(
        "endpoints swapped",
        (
            "tests/cli/test_doctor.py::test_one_server_under_two_names",
            "tests/engine/identity/test_known_servers.py::test_a_model_that_answers_like_another_is_refused_naming_its_cell",
        ),
    ),
    35: Row("looping text", ("case:looping text",)),
    36: Row(
        "the clock jumps",
        (
            "tests/end_to_end/faults/test_rows.py::test_no_time_out_hangs_on_the_wall_clock",
            MACHINE + "test_a_jumping_wall_clock_changes_nothing",
            MACHINE + "test_a_lock_is_judged_by_the_clock_of_its_file_system",
        ),
    ),
    37: Row("SIGINT", (RUN + "test_ctrl_c_drains_and_the_same_command_goes_on",)),
    38: Row("SIGTERM", (RUN + "test_ctrl_c_drains_and_the_same_command_goes_on",)),
    39: Row("SIGKILL", (RUN + "test_sigkill_costs_only_what_was_in_flight",)),
    40: Row(
        "disk full",
        (
            "tests/store/test_proofs.py::test_a_full_disk_stops_with_74_and_the_run_goes_on_when_there_is_room",
            "tests/store/test_proofs.py::test_a_disk_that_fails_at_the_kth_call_loses_nothing",
        ),
    ),
    41: Row(
        "results folder read-only or gone",
        (
            "tests/store/test_proofs.py::test_a_read_only_disk_is_named_and_nothing_is_asked",
            "tests/store/test_proofs.py::test_a_folder_that_we_may_not_write_is_named",
            "tests/store/test_proofs.py::test_a_network_disk_whose_handles_go_stale_loses_nothing",
        ),
    ),
    42: Row(
        "torn journal tail",
        (
            "tests/store/test_cell.py::test_a_torn_last_line_is_left_out_and_so_is_a_damaged_one",
            "tests/store/test_proofs.py::test_killed_runs_end_as_uninterrupted_ones",
        ),
    ),
    43: Row(
        "damage in the middle of a journal",
        ("tests/store/test_cell.py::test_a_torn_last_line_is_left_out_and_so_is_a_damaged_one",),
    ),
    44: Row(
        "two runs on one folder",
        ("tests/store/test_proofs.py::test_of_processes_on_one_cell_one_writes_and_the_others_say_who",),
    ),
    45: Row("200 MB, or without end", ("case:endless stream", "case:endless body")),
    46: Row("a compressed bomb", ("case:bomb",)),
    47: Row("redirect", ("case:redirect",)),
    48: Row(
        "prompt injection into the judge",
        ("tests/tasks/test_aa_lcr.py::test_answers_that_instruct_the_judge_stay_wrong",),
    ),
    49: Row("a judge that says neither", (LCR + "test_a_failing_judge_is_never_the_models_fault",)),
    50: Row(
        "the judge is down",
        (
            LCR + "test_a_failing_judge_is_never_the_models_fault",
            LCR + "test_judging_later_gives_the_same_table",
        ),
    ),
    51: Row("another judge", (LCR + "test_another_judge_judges_both_sides_again_and_agreement_is_shown",)),
    52: Row(
        "the sandbox dies", (BOX + "test_faults_are_ours", BOX + "test_a_lost_judge_is_replaced_and_never_a_verdict")
    ),
    53: Row(
        "time is up in the sandbox",
        (BOX + "test_limits",),
        "a second try where the host was overloaded is not made: an answer has half an hour for what takes seconds",
    ),
    54: Row(
        "the data changed before a resume",
        (
            "tests/store/test_cell.py::test_another_identity_is_refused_with_the_differing_keys",
            RUN + "test_a_cell_grows_by_repeats_and_items_and_refuses_other_settings",
        ),
    ),
    55: Row("no UTF-8, lone surrogates", ("case:surrogates",)),
    56: Row(
        "secrets in messages", ("tests/end_to_end/faults/test_rows.py::test_neither_key_nor_prompt_gets_into_results",)
    ),
}
