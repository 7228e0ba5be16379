/**
 * The way in for every record of another node: size, form, mesh, news, signature, table. In this order, so that the
 * costly check is made for news only. No state of its own; what is refused is counted.
 */
import { createRateLimiter } from '../../../protocols/limits/rate-limiter.ts'
import type { Acceptance, Port } from '../../../protocols/port.ts'
import type { DirectoryCounts } from '../directory-counts.ts'
import {
  type AgentRecord,
  type RecordFault,
  readRecord,
  type SignedRecord,
  unpackRecord,
  verifyRecord,
} from '../record/agent-record.ts'
import type { Change, RecordOutcome } from '../tables/agent-change.ts'
import type { AgedRecord } from '../tables/digest.ts'
import type { DirectoryState } from '../tables/directory-state.ts'

export type RecordSource = 'sync' | 'push' | 'gossip'
/** `held`: the very bytes that the table holds, which were checked when they came. */
export type RecordIntakeResult = RecordOutcome | RecordFault | 'bad_signature' | 'held' | 'too_many'

interface Receiving {
  readonly port: Pick<Port, 'self' | 'clock' | 'verify'>
  readonly state: DirectoryState
  readonly counts: DirectoryCounts
  readonly emit: (changes: readonly Change[]) => void
  /** A record of this node's own identity that another life wrote, at or above the present version. */
  readonly onClaim: (record: AgentRecord) => void
}

/**
 * News of agents that one neighbour brings by gossip, each of which costs a signature check here and at everybody to whom
 * it is forwarded. What is beyond is dropped, and learnt when directories are compared.
 */
const NEWS = { perSecond: 64, burst: 2_048, maxKeys: 1_024 }
/** And of others that it pushes, which it does only where this node lacks them; the rest comes when this node compares. */
export const PUSHED_RECORDS_RATE = { perSecond: 32, burst: 512, maxKeys: 1_024 }

/** A part of a frame keeps the whole frame in memory; a copy does not. */
const detached = ({ bytes, signature }: SignedRecord): SignedRecord => ({
  bytes: new Uint8Array(bytes),
  signature: new Uint8Array(signature),
})

/** Shown to be untrue by the record itself, whatever this node happens to know. */
const isForged = (receipt: RecordIntakeResult): boolean =>
  receipt === 'too_big' || receipt === 'malformed' || receipt === 'other_mesh' || receipt === 'bad_signature'

export const createRecordIntake = ({ port, state, counts, emit, onClaim }: Receiving) => {
  const rates = { gossip: createRateLimiter(NEWS), push: createRateLimiter(PUSHED_RECORDS_RATE) }

  const refuse = <R extends RecordFault | 'bad_signature' | 'too_many'>(reason: R): R => {
    counts.refused.add(reason)
    return reason
  }

  const settle = (
    record: AgentRecord,
    { ageMs, ...signed }: AgedRecord,
    via: RecordSource,
    from: string,
  ): RecordOutcome => {
    const now = port.clock.monotonic()
    const { outcome, changes } = state.apply(record, detached(signed), ageMs, now, via !== 'gossip', from)
    if (outcome === 'accepted') counts.accepted.add(via)
    if (outcome === 'full' || outcome === 'own') counts.refused.add(outcome)
    if (outcome === 'own') onClaim(record)
    emit(changes)
    return outcome
  }

  const receive = async (item: AgedRecord, via: RecordSource, from: string): Promise<RecordIntakeResult> => {
    const { record, refused } = readRecord(item, port.self.mesh)
    if (refused !== undefined) return refuse(refused)
    const now = port.clock.monotonic()
    const outcome = state.judge(record, item, item.ageMs, now, via !== 'gossip', from)
    if (outcome === 'duplicate' && state.holds(record.peerId, item)) return 'held'
    if (outcome === 'stale' || outcome === 'duplicate') return outcome
    const isOthers = via !== 'sync' && from !== record.peerId
    if (isOthers && !rates[via].take(from, now)) return refuse('too_many')
    if (!(await verifyRecord(port, record, item))) return refuse('bad_signature')
    // The table may have changed while the signature was checked; `apply` judges again.
    return settle(record, item, via, from)
  }

  return {
    /**
     * @param from the neighbour that told them
     * @returns how many were accepted
     */
    receiveAll: async (items: readonly AgedRecord[], via: RecordSource, from: string): Promise<number> => {
      let accepted = 0
      for (const item of items) if ((await receive(item, via, from)) === 'accepted') accepted += 1
      return accepted
    },
    receiveGossip: async (packed: Uint8Array, from: string): Promise<Acceptance> => {
      const receipt = await receive({ ...unpackRecord(packed), ageMs: 0 }, 'gossip', from)
      if (isForged(receipt)) return 'refuse'
      if (receipt === 'too_many') return 'ignore'
      // What is old here was not checked, and is old elsewhere too. What is held may have come by a way that the
      // neighbours' neighbours do not have.
      return receipt === 'stale' || receipt === 'duplicate' ? 'keep' : 'forward'
    },
  }
}
