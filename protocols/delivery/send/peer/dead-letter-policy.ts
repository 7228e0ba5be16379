/**
 * What becomes of a message that failed for good: its recovery, where there is one, else the dead letters. Its place in the
 * outbox goes as a skip, in the same commit.
 */
import { type Fault, ParleyError } from '../../../errors.ts'
import type { Port } from '../../../port.ts'
import type { NewDeadLetter } from '../../dead-letters/dead-letter.ts'
import { logFieldsOf } from '../../durable-message.ts'
import { encodeOutboxRow, outboxKey, SKIP_ROW } from '../../store/delivery-rows.ts'
import type { RowChange, RowStore } from '../../store/row-storage.ts'
import type { OutgoingMessage } from '../outgoing-message.ts'
import type { BodyCache } from './body-cache.ts'

export interface DeadLetterPolicyDeps {
  readonly port: Pick<Port, 'clock' | 'log'>
  readonly store: Pick<RowStore, 'commit'>
  readonly peer: string
  readonly bodies: BodyCache
  count(what: 'lostRows' | 'expired' | 'dead' | 'recovered'): void
  /** The same message in another form, where this failure has such a recovery. */
  recover(peer: string, message: Uint8Array, fault: Fault): Promise<Uint8Array | undefined>
  addDeadLetter(death: NewDeadLetter): { id: string; changes: RowChange[]; done: () => void }
  isStopped(): boolean
}

/** What is told to whoever waits for it. */
export const deadLetterError = (
  fault: Fault,
  deadLetter: string,
  attempts: number,
  peer: string,
  reason: unknown = fault.details?.reason,
): ParleyError =>
  new ParleyError(
    fault.code === 'MSG005' ? 'MSG005' : 'COM001',
    `the message became a dead letter: ${fault.code} ${fault.message}`,
    {
      hint: `${fault.hint === undefined ? '' : `${fault.hint}; `}see parley dlq show ${deadLetter}; parley dlq retry ${deadLetter} sends it again`,
      details: { deadLetter, code: fault.code, attempts, peer, ...(typeof reason === 'string' && { reason }) },
    },
  )

/** A recovery that fails itself is none. */
const tryToRecover = async (
  { recover, peer, port }: DeadLetterPolicyDeps,
  message: Uint8Array,
  fault: Fault,
): Promise<Uint8Array | undefined> => {
  try {
    return await recover(peer, message, fault)
  } catch (error) {
    port.log.error('a recovery failed', {
      severity: 'critical',
      destination: peer,
      ...logFieldsOf(message),
      code: fault.code,
      original_error: fault.message,
      recovery_error: error instanceof Error ? error.message : String(error),
      error,
    })
    return undefined
  }
}

/** @returns `again`: send it once more; `skip`: its number stands for nothing; `none`: the store has failed, or is closed */
export const applyDeadLetterPolicy = async (
  deps: DeadLetterPolicyDeps,
  entry: OutgoingMessage,
): Promise<'again' | 'skip' | 'none'> => {
  const { port, store, peer, bodies } = deps
  const { lane, sequence, policy, expiresAt, attempts, bound } = entry
  const fault = entry.fault ?? { code: 'COM001', message: 'it was not delivered' }
  const key = outboxKey(peer, lane, sequence)
  try {
    await bodies.load([entry])
    const message = entry.body
    if (message === undefined) {
      deps.count('lostRows')
      await store.commit([{ key, value: SKIP_ROW }])
      return 'skip'
    }
    const other = entry.isRecovered ? undefined : await tryToRecover(deps, message, fault)
    if (deps.isStopped()) return 'none'
    if (other !== undefined) {
      entry.isRecovered = true
      bodies.release(entry)
      bodies.keep(entry, other, true)
      await store.commit([{ key, value: encodeOutboxRow(other, policy, expiresAt, bound) }])
      deps.count('recovered')
      return 'again'
    }
    const { id, changes, done } = deps.addDeadLetter({
      destination: peer,
      capability: bound?.capability,
      message,
      policy,
      fault,
      attempts,
      firstFailureAt: entry.firstFailureAt ?? port.clock.now(),
      lastFailureAt: entry.lastFailureAt ?? port.clock.now(),
    })
    await store.commit([...changes, { key, value: SKIP_ROW }])
    deps.count(fault.code === 'MSG005' ? 'expired' : 'dead')
    bodies.release(entry)
    done()
    entry.onOutcome?.(deadLetterError(fault, id, attempts, peer))
    return 'skip'
  } catch (error) {
    // It stays in the outbox, and is looked at again when the store is read anew.
    port.log.error('a message that failed could not be put with the dead letters', {
      destination: peer,
      ...logFieldsOf(entry.body),
      error,
    })
    return 'none'
  }
}
