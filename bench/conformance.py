"""Write docs/conformance.md: what the service promises, with the tests that show it, and every check of the conformance kit."""

from collections.abc import Mapping
from pathlib import Path

from fdpipe.conformance.kit import CHECKS

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "conformance.md"

PROTOCOLS: Mapping[str, tuple[str, ...]] = {
    "The Open Inference Protocol V2 over REST: metadata from the release's own specs, versions, `{\"error\": …}` bodies": (
        "test_oip.py::test_metadata", "test_oip.py::test_metadata_of_columns", "test_oip.py::test_infer",
        "test_oip.py::test_what_is_not_there", "test_oip.py::test_what_does_not_fit",
    ),
    "Its binary tensors and all of its data types, from one axis to four, in JSON and as bytes, asked by `tritonclient`": (
        "test_oip_matrix.py::test_each", "test_oip_matrix.py::test_mixed", "test_oip_matrix.py::test_brain_floats",
        "test_oip_matrix.py::test_the_descriptions_name_every_datatype",
    ),
    "The same over gRPC, raw and typed, in each worker": (
        "test_oip_grpc.py::test_infer", "test_oip_grpc.py::test_every_datatype_and_rank", "test_oip_grpc.py::test_brain_floats",
        "test_oip_grpc.py::test_typed_contents", "test_oip_grpc.py::test_metadata",
    ),
    "gRPC's standard health service, and reflection": (
        "test_oip_grpc.py::test_health", "test_oip_grpc.py::test_who_watches_learns_of_the_end",
        "test_oip_grpc.py::test_reflection",
    ),
    "BentoML's own typed API with its documentation": (
        "test_typed.py::test_answers_are_the_models_own", "test_typed.py::test_bentomls_own_client",
        "test_typed.py::test_the_documentation_has_the_models_own_names",
    ),
    "KServe's V1": (
        "test_kserve_v1.py::test_labels_come_for_rows_and_for_columns", "test_kserve_v1.py::test_values_come_for_columns",
        "test_kserve_v1.py::test_refused",
    ),
    "MLflow's `/invocations`": (
        "test_invocations.py::test_tensors", "test_invocations.py::test_columns",
        "test_invocations.py::test_predictions_have_the_form_that_mlflow_gives",
        "test_invocations.py::test_examples_that_mlflow_makes_are_taken", "test_invocations.py::test_mlflows_client",
    ),
    "Raw text or image in, labels with names out": (
        "test_media.py::test_images_come_as_they_are", "test_media.py::test_texts_come_with_labels_by_name",
        "test_invocations.py::test_a_text_is_a_body", "test_invocations.py::test_an_image_is_a_body",
    ),
    "The clients of others work unchanged": (
        "test_clients.py::test_tritons_client", "test_clients.py::test_kserves_client",
        "test_clients.py::test_mlservers_library", "test_invocations.py::test_mlflows_client",
        "test_typed.py::test_bentomls_own_client",
    ),
    "Clients in Python, Java and C++ are shown working": (
        "test_clients.py::test_numpy_alone", "test_clients.py::test_java", "test_clients.py::test_c_plus_plus",
        "test_clients.py::test_clients_tell_errors_in_one_line",
    ),
    "Requests that arrive together run together, and each is answered as it would have been alone": (
        "test_conformance.py::TestOurs::test_on_either_port_with_golden_rows",
        "test_oip_grpc.py::test_many_at_once_have_each_its_own_answer", "test_batcher.py::test_together_and_each_its_own",
        "test_batcher.py::test_each_gets_its_own_rows_and_none_is_computed_twice",
        "test_batcher.py::test_what_is_not_batchable_is_alone",
    ),
}  # fmt: skip
"""What it speaks; tests without a folder are in tests/serving."""

CAREFUL: Mapping[str, tuple[str, ...]] = {
    "Strict input: what does not fit is refused with a 4xx and one line, in the protocol's own form": (
        "test_oip.py::test_what_does_not_fit", "test_oip.py::test_what_is_no_json", "test_typed.py::test_what_does_not_fit",
        "test_kserve_v1.py::test_refused", "test_invocations.py::test_refused", "test_oip_grpc.py::test_refused",
    ),
    "No 5xx, no restart and no memory lost to a corpus of JSON and thousands of hostile bodies": (
        "test_hostile.py::test_torture", "test_hostile.py::test_mutations", "test_hostile.py::test_many_mutations",
        "test_oip_grpc.py::test_random_messages", "test_openapi.py::test_no_server_error",
    ),
    "Bodies over the limit, bombs, slow senders": (
        "test_hostile.py::test_bodies_that_are_too_much", "test_hostile.py::test_lengths_that_are_none",
        "test_application.py::test_a_slow_sender", "test_listener.py::test_a_message_without_end_is_cut_off",
        "test_listener.py::test_who_does_not_take_the_answer_is_let_go", "test_oip_grpc.py::test_large_messages_are_refused",
        "test_oip_grpc.py::test_compressed_messages_are_refused",
    ),
    "Pickles are refused": ("test_typed.py::test_what_is_refused_in_the_same_form",),
    "Overload: what cannot be answered in time is refused at once, with when to ask again": (
        "test_batcher.py::test_too_many_waiting_and_too_late", "test_batcher.py::test_what_would_be_late_is_refused_at_once",
        "test_oip.py::test_a_caller_who_waits_no_longer", "test_oip_grpc.py::test_overload_says_when_to_ask_again",
        "test_oip_grpc.py::test_the_callers_limit",
    ),
    "Who leaves costs the others nothing": (
        "test_batcher.py::test_a_caller_who_leaves_costs_the_others_nothing",
        "test_application.py::test_a_caller_who_leaves", "test_oip_grpc.py::test_those_who_cancel_disturb_nobody",
    ),
    "The cache: bounded, by the exact input, computed once for all who ask at once; `no-cache` is obeyed": (
        "test_cache.py::test_no_more_is_kept_than_may_be_and_what_was_used_last_stays",
        "test_cache.py::test_the_key_is_the_exact_input", "test_cache.py::test_what_is_asked_twice_at_once_is_computed_once",
        "test_cache.py::test_who_wants_a_fresh_answer_gets_one_and_leaves_none",
        "test_access.py::test_answers_are_kept_whatever_protocol_asks_and_redis_may_die",
    ),
    "A shared cache that dies or hangs costs little, and comes back": (
        "test_shared.py::test_a_redis_that_dies_and_comes_back",
        "test_shared.py::test_a_redis_that_never_answers_costs_a_few_short_waits",
    ),
    "SIGTERM drains; workers that die come back; the master's death leaves nothing behind": (
        "test_life.py::test_what_is_under_way_is_answered_after_sigterm_and_nothing_new",
        "test_life.py::test_workers_that_die_come_back_and_callers_hardly_notice",
        "test_life.py::test_fifty_kills_under_load", "test_life.py::test_a_killed_master_takes_all_workers_along",
    ),
    "A model that was changed after its release refuses to start": (
        "test_service.py::test_a_changed_model_is_not_served",
        "test_life.py::test_what_was_changed_after_the_release_does_not_start",
    ),
    "Bound to loopback unless told otherwise": (
        "test_life.py::test_every_port_of_every_process_is_on_loopback_and_no_other_service_gets_them",
    ),
    "API keys, TLS and mTLS, for both protocols": (
        "test_access.py::test_without_a_key_only_health_answers", "test_access.py::test_with_a_key_everything_answers",
        "test_access.py::test_keys_over_grpc", "test_access.py::test_over_tls_with_certificates_on_both_sides",
    ),
    "No stack trace ever leaves": (
        "test_application.py::test_errors", "test_oip_grpc.py::test_a_defect_is_told_in_one_line",
        "test_edge.py::test_an_error_that_is_not_ours_is_put_in_our_words",
        "test_conformance.py::TestOurs::test_on_either_port_with_golden_rows",
    ),
}  # fmt: skip
"""How it guards itself."""

KIT: Mapping[str, tuple[str, ...]] = {
    "Our releases pass, whichever port is asked": (
        "test_conformance.py::TestOurs::test_on_either_port_with_golden_rows",
        "test_conformance.py::TestOurs::test_columns_and_strings_in_rows_that_are_made_up",
    ),
    "A service with one fault is found by the check that is for it, and by no other": (
        "test_conformance.py::test_each_fault_is_found_by_its_own_check",
        "test_conformance.py::test_each_fault_over_grpc_is_found_by_its_own_check",
    ),
    "Where nothing is shown, nothing has passed": (
        "test_conformance.py::TestCommand::test_where_nothing_is_shown_nothing_has_passed",
    ),
    "`prove` refuses a release whose service does not keep to its protocols": (
        "tests/stages/test_prove.py::test_what_does_not_keep_to_its_protocols_is_a_refusal",
    ),
}  # fmt: skip
"""What the kit itself is held to."""

_HEAD = """# Conformance

`make docs` writes this page.

`fdpipe conformance http://HOST:PORT` asks a running service, ours or another's, and says whether it keeps to its protocols. It
finds out by itself which of them there are: what is absent is skipped, with the reason. It needs nothing but the service's own
metadata, from which it makes rows; a release's `golden.npz` (`--golden`) gives real ones with answers that are known. It exits
with 0 where something was shown and nothing violated, with 10 where a check was violated or nothing was shown, with 4 where
nobody answers. `prove` asks all checks but the load of every new service.

With a service that is not ours: `--grpc HOST:PORT` where gRPC is not on one of the next two ports, `--model NAME` where there
are several, `--header NAME:VALUE` for a key, `--max-body-mib N` to see that the service's limit holds. A violation is told with
its first example.
"""


def named_tests() -> list[str]:
    """The ids of all tests that the page names."""
    return sorted({_full(one) for part in (PROTOCOLS, CAREFUL, KIT) for named in part.values() for one in named})


def page() -> str:
    """The page's text."""
    lines = [_HEAD, "## The checks", "", "| kind | check | what it shows |", "|---|---|---|"]
    lines += [f"| {check.kind} | `{check.name}` | {check.shows} |" for check in CHECKS]
    for title, part in (("What it speaks", PROTOCOLS), ("How it guards itself", CAREFUL), ("The kit itself", KIT)):
        lines += ["", f"## {title}", "", "| what | shown by |", "|---|---|"]
        lines += [f"| {what} | {'<br>'.join(f'`{_full(one)}`' for one in named)} |" for what, named in part.items()]
    return "\n".join([*lines, ""])


def _full(test: str) -> str:
    return test if "/" in test else f"tests/serving/{test}"


if __name__ == "__main__":
    PAGE.write_text(page())
