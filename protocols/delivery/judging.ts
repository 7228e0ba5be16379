/**
 * What becomes of a message that failed for good: its recovery, where there is one, else the dead letters. Its place in the
 * outbox goes as a skip, in the same commit. Keeps no state.
 */
import { type Fault, ParleyError } from '../errors.ts'
import type { Port } from '../port.ts'
import type { Bodies } from './bodies.ts'
import type { Death } from './dead-letters.ts'
import { marksOf } from './message.ts'
import type { Out } from './out-entry.ts'
import { encodeOutboxRow, outboxKey, SKIP_ROW } from './rows.ts'
import type { RowChange, RowStore } from './storage.ts'

export interface JudgingDeps {
  readonly port: Pick<Port, 'clock' | 'log'>
  readonly store: Pick<RowStore, 'commit'>
  readonly peer: string
  readonly bodies: Bodies
  count(what: 'lostRows' | 'expired' | 'dead' | 'recovered'): void
  /** The same message in another form, where this failure has such a recovery. */
  recover(peer: string, message: Uint8Array, fault: Fault): Promise<Uint8Array | undefined>
  bury(death: Death): { id: string; changes: RowChange[]; done: () => void }
  isStopped(): boolean
}

/** What is told to whoever waits for it. */
export const died = (
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
  { recover, peer, port }: JudgingDeps,
  message: Uint8Array,
  fault: Fault,
): Promise<Uint8Array | undefined> => {
  try {
    return await recover(peer, message, fault)
  } catch (error) {
    port.log.error('a recovery failed', {
      severity: 'critical',
      destination: peer,
      ...marksOf(message),
      code: fault.code,
      original_error: fault.message,
      recovery_error: error instanceof Error ? error.message : String(error),
      error,
    })
    return undefined
  }
}

/** @returns `again`: send it once more; `skip`: its number stands for nothing; `none`: this life of the store is over */
export const judge = async (deps: JudgingDeps, entry: Out): Promise<'again' | 'skip' | 'none'> => {
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
    const { id, changes, done } = deps.bury({
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
    entry.told?.(died(fault, id, attempts, peer))
    return 'skip'
  } catch (error) {
    // It stays in the outbox, and is looked at again when the store is read anew.
    port.log.error('a message that failed could not be put with the dead letters', {
      destination: peer,
      ...marksOf(entry.body),
      error,
    })
    return 'none'
  }
}
