/** What a node's part in the coordination counts, read when the metrics are scraped. */

import type { NamedMetrics } from '../observe/metrics/metrics.ts'
import type { Coordination } from './api.ts'

export const exposeCoordination = (
  { total, gauge }: NamedMetrics,
  { facts, counts, fences }: Pick<Coordination, 'facts' | 'counts' | 'fences'>,
): void => {
  gauge('coordinator_epoch', 'Epoch (Raft term) that this node knows', () => facts().epoch)
  gauge('coordinator_acting', '1 while this node coordinates', () => Number(facts().acting))
  gauge('coordinator_quorum', '1 while decisions can be made, as far as this node knows', () => Number(facts().quorum))
  gauge('coordinator_voters', 'Nodes that vote', () => facts().voters.length)
  gauge('coordinator_learners', 'Nodes that learn', () => facts().learners.length)
  gauge('coordinator_proven_epoch', 'Newest epoch that is proven to this node', () => facts().proof.epoch)
  gauge('coordinator_proven_links', 'Changes of voters that are kept as proven', () => facts().proof.links)
  gauge('coordinator_proof_enforced', '1 where only who is proven coordinates', () =>
    Number(facts().proof.mode === 'enforce'),
  )
  total('coordinator_proofs_asked_total', 'Questions to others for proofs', () => counts().asked ?? 0)
  total('coordinator_signatures_total', 'Statements that this voter signed', () => counts().signed ?? 0)
  total(
    'coordinator_signatures_checked_total',
    'Signatures of statements that were checked',
    () => counts().verified ?? 0,
  )
  gauge('journal_commit_index', 'Last entry that is committed, in the log of this node', () => facts().log?.commit ?? 0)
  gauge('journal_applied_index', 'Last entry that was applied here', () => facts().log?.applied ?? 0)
  gauge('journal_last_index', 'Last entry in the log of this node', () => facts().log?.last ?? 0)
  gauge('journal_records', 'Records that this node has', () => facts().records)
  gauge('journal_bytes', 'Bytes of the records that this node has', () => facts().bytes)
  gauge('journal_sessions', 'Sessions of clients', () => facts().sessions)
  gauge('journal_commands_open', 'Commands of this node that wait for their answer', () => counts().open ?? 0)
  gauge('journal_commands_waiting', 'Commands of this node that wait for a place', () => counts().waiting ?? 0)
  gauge('journal_log_segments', 'Files of the log', () => counts().segments ?? 0)
  total('journal_commands_total', 'Commands that this node asked for', () => counts().submitted ?? 0)
  total('journal_retries_total', 'Commands and reads that were asked for again', () => counts().retried ?? 0)
  total('journal_log_writes_total', 'Changes that were written to the log', () => counts().writes ?? 0)
  total('journal_log_syncs_total', 'Syncs of the log', () => counts().syncs ?? 0)
  total('journal_log_bytes_total', 'Bytes that were written to the log', () => counts().bytes ?? 0)
  total('journal_log_failed_total', 'Changes that the disk refused', () => counts().failed ?? 0)
  total('journal_snapshots_total', 'Snapshots that were taken here', () => counts().snapshots ?? 0)
  total('raft_messages_sent_total', 'Messages of Raft that were sent', () => counts().sent ?? 0)
  total('raft_messages_unsent_total', 'Messages of Raft that could not be sent', () => counts().unsent ?? 0)
  total(
    'raft_inputs_dropped_total',
    'Messages of Raft that found no room or were for others',
    () => counts().dropped ?? 0,
  )
  const doubted = (): number => {
    const { notAVoter = 0, notAMember = 0, termOfALearner = 0, termTooHigh = 0 } = counts()
    return notAVoter + notAMember + termOfALearner + termTooHigh
  }
  total(
    'raft_messages_doubted_total',
    'Messages of Raft from nodes that are not known to vote, or of far terms',
    doubted,
  )
  total(
    'raft_contradictions_total',
    'Messages of voters that contradict what is known, and were not taken',
    () => counts().contradictions ?? 0,
  )
  total('fences_refused_total', 'Effects that were refused for a newer decision', () => fences.counts().refused)
}
