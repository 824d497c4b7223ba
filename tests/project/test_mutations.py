"""Break the core on purpose, one law at a time, and see that the test of that law notices.

Each mutation is made in a copy of the core, and the one test that is named is run with it.
What only a search finds was made a story first, so none of this takes long.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Mutation:
    """In `module` of ovsha, `text` becomes `broken`; then `test` must fail, and say `says`."""

    law: str
    module: str
    text: str
    broken: str
    test: str
    says: str = "assert"


MUTATIONS = (
    Mutation(
        "1: a split is settled by what both sides see alike", "core/split_brain",
        "(r.active_for or 0.0) >= SETTLED", "r.active_for or 0.0",
        "test_verdict.py::test_both_sides_agree_although_each_knows_its_own_age_now_and_the_others_of_a_moment_ago",
    ),
    Mutation(
        "1: a side that hears an active peer never begins to serve", "core/situation",
        "return self.alive and self.peer.serving", "return False",
        "test_stories.py::test_same_seed_gives_the_same_run", "law",
    ),
    Mutation(
        "1: nothing begins unasked while an active server of the peer answers", "core/election",
        "return any(rule.unasked and rule.holds(c) for rule in RULES)", "return False",
        "test_election.py::test_word_of_the_peers_agent_counts_for_nothing_against_an_answer_of_its_active_server",
    ),
    Mutation(
        "1: two idle sides do not both give way, and not both insist", "core/situation",
        "peer.preferred == settings.peer", "self.configured == settings.peer",
        "test_stories.py::test_pair_comes_up_although_both_clagds_claim_the_same_role", "law of progress",
    ),
    Mutation(
        "1: a side that slept gives way to the one that watched", "core/turn",
        "awake=view.now, lapsed=True, ask=None", "awake=view.now, ask=None",
        "test_scenarios.py::test_transcript_is_what_happens[agent-frozen-thawed]",
    ),
    Mutation(
        "1: the word that there is no other side yet is over once that side was heard", "core/turn",
        "met=True, founding=False, lapsed", "met=True, lapsed",
        "test_founding.py::test_the_word_is_over_once_the_second_switch_was_heard_and_then_a_side_waits_for_the_other",
    ),
    Mutation(
        "1: the side of a hanging server lets go of the VIP", "core/transition",
        "    Goal.FENCE: (\n        Row(Step.DROP_VIP, _no_vip),\n", "    Goal.FENCE: (\n",
        "test_stories.py::test_side_of_a_hanging_server_lets_go_of_the_vip_before_the_other_takes_it", "law",
    ),
    Mutation(
        "2: a server of several databases follows nobody", "core/guard",
        'Guard("several-databases", _several, final=True)', 'Guard("several-databases", _several)',
        "test_guard.py::test_server_of_several_databases_never_follows_whatever_an_operator_says",
    ),
    Mutation(
        "1: a side whose server takes no orders is the one that goes on", "core/split_brain",
        "Criterion(lambda r: r.undriven,", "Criterion(lambda r: 0.0,",
        "test_verdict.py::test_side_whose_server_takes_no_orders_goes_on_whatever_speaks_against_it",
    ),
    Mutation(
        "1: a side that carries out nothing is the one that goes on", "core/split_brain",
        "Criterion(lambda r: r.mode is not Mode.ACTIVE,", "Criterion(lambda r: 0.0,",
        "test_verdict.py::test_side_that_carries_out_nothing_goes_on_whatever_speaks_against_it",
    ),
    Mutation(
        "1: both sides know which of them carries out nothing", "core/situation",
        "            mode=view.mode,\n", "",
        "test_verdict.py::test_both_sides_know_which_of_them_carries_out_nothing",
    ),
    Mutation(
        "6: a server that takes no orders stays as it is", "core/election",
        "lambda c: c.undriven and c.view.server.life is Life.UNKNOWN, Goal.KEEP", "lambda c: False, Goal.KEEP",
        "test_election.py::test_every_rule_is_the_one_that_decides_in_some_moment[server-undriven]",
    ),
    Mutation(
        "2: a snapshot precedes every erase", "core/transition",
        "        Row(Step.SNAPSHOT, _kept_safe),\n", "",
        "test_stories.py::test_same_seed_gives_the_same_run", "law 2",
    ),
    Mutation(
        "2: a side that has not read its database does not give way", "core/handover",
        "if not c.view.server.loaded and not c.undriven and not _has_all_we_know(c):", "if False:",
        "test_stories.py::test_side_that_was_active_comes_up_first_after_a_loss_of_power_and_no_write_is_lost", "law",
    ),
    Mutation(
        "2: a side that has not read its database gives way to nobody who lacks what it knows", "core/handover",
        "return theirs >= known and lineage", "return lineage",
        "test_handover.py::test_a_side_whose_database_is_not_read_gives_way_to_one_that_lacks_nothing_known",
    ),
    Mutation(
        "2: nor to one of an older term", "core/handover",
        ">= max(memory.term, lineage.term_of(c.known_stamp))", ">= 0",
        "test_handover.py::test_a_side_whose_database_is_not_read_gives_way_to_one_that_lacks_nothing_known",
    ),
    Mutation(
        "progress: a side that has not read its database gives way to one that has all", "core/handover",
        " and not c.undriven and not _has_all_we_know(c):", " and not c.undriven:",
        "test_handover.py::test_a_side_whose_database_is_not_read_gives_way_to_one_that_lacks_nothing_known",
    ),
    Mutation(
        "5: a server that no name leads to is not dead", "ovsdb/process",
        "return near if near.pid is not None or near.unsure else _find_far(places, name, near)", "return near",
        "test_checks.py::test_server_that_no_name_leads_to_runs",
    ),
    Mutation(
        "5: nor is it for the agent", "ovsdb/process",
        "                return pid, \"\"\n", "                continue\n",
        "test_process.py::test_server_lives_whatever_became_of_lock_and_pidfile_and_socket",
    ),
    Mutation(
        "5: a server whose command line says nothing is known by its open file", "ovsdb/process",
        "return is_open(pid, file) or (was_open(pid, file) and not _in_another_namespace(pid))", "return False",
        "test_process.py::test_server_whose_command_line_says_nothing_is_known_by_the_file_that_it_has_open",
    ),
    Mutation(
        "5: a server whose file was moved is known by its command line", "ovsdb/process",
        "if started & spellings(file) and not _in_another_namespace(pid):", "if False:",
        "test_process.py::test_server_lives_whatever_became_of_lock_and_pidfile_and_socket",
    ),
    Mutation(
        "1: the server of another switch or container is not ours", "ovsdb/process",
        "return is_open(pid, file) or (was_open(pid, file) and not _in_another_namespace(pid))",
        "return has_open(pid, file)",
        "test_process.py::test_same_path_in_another_network_namespace_is_another_server",
    ),
    Mutation(
        "5: a server whose files are hidden may be ours", "ovsdb/process",
        "if not _databases(pid) and not _in_another_namespace(pid):", "if False:",
        "test_process.py::test_server_whose_files_are_hidden_may_be_ours",
    ),
    Mutation(
        "2: an old copy does not serve while the newer data is known to exist", "core/situation",
        "if memory.term > (memory.claim or 0):", "if False:",
        "test_stories.py::test_old_copy_does_not_serve_while_the_other_side_is_heard_but_has_no_server_yet", "law 2",
    ),
    Mutation(
        "2: older data is never copied over newer data", "core/lineage",
        "if source.stamp.term < own.stamp.term:", "if False:",
        "test_lineage.py::test_nothing_older_unknown_or_empty_ever_overwrites",
    ),
    Mutation(
        "2: what was promised at a start is still there when it opens", "core/situation",
        "return not self.outdated and not (grant.kind is Kind.START and self.replaced)", "return True",
        "test_traps.py::test_server_that_is_replaced_by_an_older_file_after_it_was_given_the_service_does_not_open",
        "law 2",
    ),
    Mutation(
        "2: what comes back in place of a source is not copied", "core/election",
        "return c.being_granted and not (c.following and c.view.source.closed)", "return c.being_granted",
        "test_traps.py::test_backup_that_waits_for_the_barrier_does_not_copy_what_comes_back_in_place_of_its_source",
        "law 2",
    ),
    Mutation(
        "2: a file that was cut off is not served", "core/situation",
        "return lineage.rolled_back(self.view.server, self.memory.held)", 'return ""',
        "test_election.py::test_every_rule_is_the_one_that_decides_in_some_moment[rolled-back]",
    ),
    Mutation(
        "2: a copy that lacks too much of what is known is not served unasked", "core/election",
        "return bool(c.too_far_behind) and c.presence in (Presence.DEAD, Presence.NEVER)", "return False",
        "test_filtered.py::test_it_is_remembered_by_an_agent_that_is_started_when_the_other_side_is_gone", "law 2",
    ),
    Mutation(
        "2: a copy is as old as the first token that it lacks, and not as the last one", "core/behind",
        "return lack if own == lack.after else replace(lack, after=own)", "return Lack(view.now, own)",
        "test_filtered.py::test_it_is_remembered_by_an_agent_that_is_started_when_the_other_side_is_gone", "law",
    ),
    Mutation(
        "progress: a copy that is always a little late may serve", "core/behind",
        "since = max(lack.since, view.now - number * view.settings.token_interval)", "since = lack.since",
        "test_behind.py::test_copy_that_is_always_a_little_late_is_not_far_behind",
    ),
    Mutation(
        "2, 3: what is known to be old or half-copied is not promoted", "core/lineage",
        "if known <= term_of(own.stamp):", "if True:",
        "test_stories.py::test_old_copy_does_not_serve_while_the_other_side_is_heard_but_has_no_server_yet", "law 2",
    ),
    Mutation(
        "2: a side in an upgrade takes nothing over", "core/election",
        "lambda c: c.upgrading and not c.peer_serving,", "lambda c: False,",
        "test_upgrade.py::test_side_in_an_upgrade_does_not_take_over_from_a_dead_server", "law 2",
    ),
    Mutation(
        "2: a side in an upgrade comes before nobody", "core/situation",
        "return not self.upgrading", "return False",
        "test_upgrade.py::test_after_a_loss_of_power_the_side_that_is_in_no_upgrade_serves_although_the_other_is"
        "_preferred", "law of progress",
    ),
    Mutation(
        "2: a side in an upgrade yields when both serve", "core/split_brain",
        "Criterion(lambda r: r.upgrade is None,", "Criterion(lambda r: 0.0,",
        "test_verdict.py::test_side_in_an_upgrade_yields_whatever_else_speaks_for_it",
    ),
    Mutation(
        "2: a side in an upgrade asks for nothing", "core/handover",
        "if memory.grant is not None or c.idle or c.upgrading:", "if memory.grant is not None or c.idle:",
        "test_election.py::test_side_in_an_upgrade_never_begins_to_serve_and_asks_for_nothing",
    ),
    Mutation(
        "3: a copy that fails again and again is given up", "core/guard",
        "if c.memory.failed_copies < GIVEN_UP:", "if True:",
        "test_traps.py::test_operators_word_reaches_the_side_that_waits_for_it_whichever_side_he_tells",
        "law of progress",
    ),
    Mutation(
        "3: a newer schema is not copied from", "core/guard",
        "if not c.view.schema_gap or own is None or theirs is None:", "if True:",
        "test_traps.py::test_backup_does_not_even_try_to_copy_from_a_newer_schema",
    ),
    Mutation(
        "4: a planned move waits for the barrier", "core/situation",
        "return self.token_in_rows == grant.barrier or opened", "return True",
        "test_traps.py::test_planned_move_waits_for_a_copy_that_is_late", "law 4",
    ),
    Mutation(
        "4: a barrier that had arrived is not asked for again in rows that clients write", "core/situation",
        "server.token is not None and server.token >= grant.barrier", "False",
        "test_handover.py::test_a_barrier_that_had_arrived_is_not_looked_for_again_once_our_server_is_active",
    ),
    Mutation(
        "4: the barrier is not a token that is under way already", "core/handover",
        "barrier=following(belief.above(c) or following(server.token, term), term)",
        "barrier=belief.above(c) or following(server.token, term)",
        "test_handover.py::test_the_barrier_leaves_out_the_token_that_may_be_under_way_already",
    ),
    Mutation(
        "4: there is no barrier before writers are shut out", "core/handover",
        "if grant.drained or c.open:", "if grant.drained:",
        "test_handover.py::test_there_is_no_barrier_before_everything_is_closed",
    ),
    Mutation(
        "5: a silent agent is no dead side", "core/liveness",
        "if _server_or_host_answers(view):\n        return Presence.SILENT\n    if left_to_clagd(view, memory) and",
        "if False and",
        "test_liveness.py::test_a_busy_server_is_not_dead_before_the_stall_interval_is_over",
    ),
    Mutation(
        "5: what the kernel's silence proves waits for nobody's word", "core/liveness",
        " and not echo.dead_by_echo(view)", "",
        "test_scenarios.py::test_transcript_is_what_happens[death-in-stages]",
    ),
    Mutation(
        "5: a link that is back is no sign that the server behind it is dead", "core/liveness",
        "or (memory.link_lost and not view.kernel.ended)", "",
        "test_echo.py::test_a_link_that_is_back_does_not_make_a_server_dead_that_has_not_been_reached_yet",
    ),
    Mutation(
        "5: a kernel that answers holds up a takeover in whatever order agent and server fell silent", "core/liveness",
        "not alone and _kernel_answers(view)", "said_goodbye(view) and _kernel_answers(view)",
        "test_echo.py::test_while_the_kernel_answers_clagd_decides_in_whatever_order_the_others_fell_silent",
    ),
    Mutation(
        "progress: the kernel of a unit that has not joined yet holds up nothing", "core/liveness",
        "alone = memory.founding and not memory.met", "alone = False",
        "test_echo.py::test_a_unit_that_has_not_joined_yet_holds_up_nothing_by_its_kernel",
    ),
    Mutation(
        "5: a server that ended is gone, though its kernel answers", "core/liveness",
        "return echo.answers(view) and not view.kernel.ended", "return echo.answers(view)",
        "test_echo.py::test_a_kernel_that_answers_holds_up_nothing_once_its_server_ended_or_hangs_or_it_is_silent",
    ),
    Mutation(
        "5: a server that answers nothing for the stall interval is gone, though its kernel answers", "core/liveness",
        "not view.kernel.ended and not stuck", "not view.kernel.ended",
        "test_echo.py::test_a_kernel_that_answers_holds_up_nothing_once_its_server_ended_or_hangs_or_it_is_silent",
    ),
    Mutation(
        "5: a server that lets nobody in for the stall interval is gone, though its kernel answers", "core/liveness",
        " and not echo.mute(view)", "",
        "test_echo.py::test_with_the_link_up_a_server_that_lets_nobody_in_holds_out_as_long_as_one_that_hangs",
    ),
    Mutation(
        "5: a loop that slept has heard no silence", "core/echo",
        "late = self.pending(now) and now - self._looked_at > self._late", "late = False",
        "test_echo.py::test_a_loop_that_woke_late_begins_the_burst_anew",
    ),
    *(
        Mutation(
            f"5: a kernel is not dead where {lack}", "core/echo", text, broken,
            f"test_echo.py::test_where_anything_is_missing_clagd_decides_as_ever[{lack}]",
        )
        for lack, text, broken in (
            ("nothing was asked", "    if since is None or len(paths)", "    since = since or 0.0\n    if len(paths)"),
            ("there is one path", "len(paths) < 2 or", ""),
            ("too few were ever answered", " or kernel.answered < PROVEN", ""),
            ("a path had not answered for long", "path.before is None or path.before > RECENT", "path.before is None"),
            ("one was answered", "age <= since", "False"),
            ("too few have left", "asked = path.asked >= BURST and", "asked ="),
            ("they have only just left", " and path.asked_age >= patience", ""),
            ("no path has its carrier", "any(unanswered) and all(", "all("),
            ("the carrier is not known", "return bool(path.carrier) and asked", "return asked"),
            ("the other path was not asked", "all(one or other for", "all(True for"),
        )
    ),
    Mutation(
        "5: a busy server is no dead server", "core/election",
        "c.peer.life in (Life.DOWN, Life.HUNG) and not c.peer.serving", "c.peer.life is not Life.UP",
        "test_election.py::test_busy_peer_is_not_taken_for_dead",
    ),
    Mutation(
        "5: an agent that starts listens first", "core/election",
        "return c.view.now - c.memory.awake < c.view.settings.dead_interval and not c.alive", "return False",
        "test_stories.py::test_agent_that_is_started_anew_listens_before_it_decides",
    ),
    Mutation(
        "6: an agent that starts takes over what it finds", "core/transition",
        "        if known is None or known.term < own.term or known.node == node:\n            return own.term\n",
        "        pass\n",
        "test_stories.py::test_agent_that_is_started_anew_takes_over_what_it_finds", "law",
    ),
    Mutation(
        "7: nothing but the pair's own business is done", "core/transition",
        '"cut old sockets towards the VIP"', '"restart the VTEP daemon"',
        "test_stories.py::test_same_seed_gives_the_same_run", "law 7",
    ),
    Mutation(
        "8: every decision has its reason", "core/turn",
        "why, state = rule.sentence(case), _state(case, rule)", 'why, state = "", _state(case, rule)',
        "test_stories.py::test_same_seed_gives_the_same_run", "law 8",
    ),
    Mutation(
        "8: the same facts lead to the same decision", "core/turn",
        "why, state = rule.sentence(case), _state(case, rule)",
        'why, state = f"{rule.sentence(case)} {id(object())} {id(case)}", _state(case, rule)',
        "test_stories.py::test_every_decision_of_a_run_can_be_taken_again_from_what_was_known", "law 8",
    ),
    Mutation(
        "8: that the peer claims the VIP too is over when one of the two has let go of it", "protocol/conflicts",
        "replace(kept, ended=True)", "kept",
        "test_rival.py::test_that_the_peer_claims_the_vip_is_over_when_it_says_that_it_has_none_or_when_we_have_none",
    ),
    Mutation(
        "8: what the peer said before we took over is not told as if it were so now", "report/problems_serving",
        "not source.closed and not _from_before(case)", "not source.closed",
        "test_diagnosis_lost.py::test_what_a_silent_peer_said_before_we_took_over_is_not_told_as_if_it_were_so_now",
    ),
    Mutation(
        "10: a claim of the peer is never answered while it says that it serves", "protocol/conflicts",
        "c.alive and not peer.serving", "c.alive",
        "test_rival.py::test_a_peer_that_says_that_it_serves_or_holds_the_vip_is_left_alone_and_a_stranger_is_not",
    ),
    Mutation(
        "10: no flood of claims to the VIP is answered more than once in ten seconds", "protocol/conflicts",
        "INTERVAL = 10.0", "INTERVAL = 0.0",
        "test_rival.py::test_the_first_claim_is_answered_at_once_and_what_comes_within_ten_seconds_at_their_end",
    ),
    Mutation(
        "10: a client's write on a running server parks nobody", "core/belief",
        "if proof is None or not server.process or server.process != proof.process:", "if True:",
        "test_belief.py",
    ),
    Mutation(
        "10: what was copied anew is no proof", "core/belief",
        "    if following and not proof.copy:\n        return None  # it was connected, and erased\n", "",
        "test_belief.py::test_what_a_server_held_is_no_proof_any_more_once_it_copies_from_another",
    ),
    Mutation(
        "10: a server that was started anew proves nothing of what it held", "core/belief",
        "if proof is None or (server.process and server.process != proof.process):", "if proof is None:",
        "test_belief.py::test_another_process_that_holds_less_is_rolled_back",
    ),
    Mutation(
        "10: a heal is not followed by the next at once", "core/belief",
        "return c.view.server.written is None or c.view.now < c.memory.heal_after",
        "return c.view.server.written is None",
        "test_belief.py::test_heals_are_a_second_apart_and_at_last_a_minute",
    ),
    Mutation(
        "10: no number beyond belief is believed", "core/belief",
        "if stamp is None or (stamp.term > known and stamp.term > min(known + LEAP, BELIEVED_END)):",
        "if stamp is None:",
        "test_belief.py::test_a_term_is_believed_up_to_a_million_above_the_highest_that_is_known",
    ),
    Mutation(
        "progress: a promise is not over before it is used", "core/handover",
        "_newest_term(c) > c.memory.grant_term", "_newest_term(c) > lineage.term_of(c.view.server.stamp)",
        "test_handover.py",
    ),
    Mutation(
        "8: an order is carried to the end of the move on the side that gives", "core/handover",
        "sent=damping.order_kind(c, ask.kind) or memory.sent,", "",
        "test_ordered.py::test_the_giver_knows_the_order_when_its_grant_has_ended_before_the_peer_serves",
    ),
    Mutation(
        "8: an order is carried to the end of the move on the side that takes", "core/damping",
        "    if c.being_granted and memory.ask is not None:", "    if False:",
        "test_ordered.py::test_ordered_switchovers_are_never_counted_and_the_restore_follows_a_crash[nothing else]",
        "law 8",
    ),
    Mutation(
        "8: an order that came to nothing makes no later crash an ordered move", "core/damping",
        "    return remember(memory, sent=None, by_order=None, chosen=False)\n", "    return memory\n",
        "test_ordered.py::test_an_order_is_over_when_the_old_holder_serves_on",
    ),
    Mutation(
        "progress: the clagd primary gets the service of a cut pair", "core/turn",
        "link_lost_at=lost_at)", "link_lost_at=None)",
        "test_stories.py::test_clagd_primary_gets_the_service_of_a_cut_pair_even_when_an_agent_is_restarted_meanwhile",
        "law of progress",
    ),
    Mutation(
        "progress: an operator's word reaches the side that waits for it", "core/handover",
        "return served and (not c.alive or c.peer.in_sync_for is not None)", "return served",
        "test_traps.py::test_operators_word_reaches_the_side_that_waits_for_it_whichever_side_he_tells",
        "law of progress",
    ),
    Mutation(
        "2: what is not known to have been deleted is never called so", "divergence/ledger",
        "if head.exact is True and head.base is not None:", "if True:",
        "test_ledger_shelf.py::test_what_an_earlier_release_compared_without_a_base_is_read_as_doubts",
    ),
    Mutation(
        "2: what only the survivor has is not ours", "divergence/compare",
        "if entry.row is not None:", "if True:",
        "test_ledger_selection.py::test_rows_that_only_the_survivor_has_are_no_doubts",
    ),
    Mutation(
        "2: a replay takes no row away unasked", "divergence/replay_check",
        "if removes(entry, schema) and not self.deletions:", "if entry.kind is Kind.DELETED and not self.deletions:",
        "test_ledger_selection.py::test_without_a_word_what_is_sure_is_replayed_and_no_row_goes",
    ),
    Mutation(
        "2: a doubt is added only by its name", "divergence/replay_check",
        "if entry.kind is Kind.DOUBT and self.named is None:", "if False:",
        "test_ledger_selection.py::test_without_a_word_what_is_sure_is_replayed_and_no_row_goes",
    ),
    Mutation(
        "2: a replay looks at every row once more as it writes", "divergence/replay",
        "waits.append(_as_before(entry, table))", "pass",
        "test_ledger_selection.py::test_every_row_that_is_written_is_waited_for_in_the_same_transaction",
    ),
    Mutation(
        "2: what was deleted since it was brought back stays deleted", "divergence/replay_check",
        "if entry.uuid in self.tried:", "if False:",
        "test_ledger_selection.py::test_what_was_brought_back_before_is_no_more_sure",
    ),
)  # fmt: skip


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.law)
def test_broken_law_is_noticed(mutation: Mutation, tmp_path: Path) -> None:
    for name in ("ovsha", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    module = tmp_path / "ovsha" / f"{mutation.module}.py"
    text = module.read_text()
    assert text.count(mutation.text) == 1, "the code has changed, and this mutation has to change with it"
    module.write_text(text.replace(mutation.text, mutation.broken))
    file, _, test = mutation.test.partition("::")
    (place,) = (tmp_path / "tests").rglob(file)
    named = f"{place}::{test}" if test else place
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", str(named)]
    hurried = {**os.environ, "OVSHA_SHRINK": "no"}
    ran = subprocess.run(
        command, cwd=tmp_path, env=hurried, capture_output=True, text=True, timeout=280, check=False
    )
    assert ran.returncode == 1, f"no test notices that this is broken:\n{ran.stdout[-2000:]}"
    assert "1 failed" in ran.stdout
    assert mutation.says in ran.stdout
