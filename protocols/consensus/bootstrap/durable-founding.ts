/**
 * One step at a time, each durable before it counts: what a step comes to is seen, said and followed up only once its
 * record is saved. A save that fails leaves everything as it was, whether or not the disk has it: of what nobody was told
 * any part may be kept, and the next save takes its place.
 *
 * State: the founding as it counts; steps that wait for the disk (bounded).
 */

import { ParleyError, stateError } from '../../errors.ts'
import type { Port } from '../../port.ts'
import type { FoundingRecord, FoundingStore } from './founding-record.ts'
import type { FoundingState, FoundingStep } from './founding-steps.ts'

const MAX_WAITING = 1_024

export interface DurableFounding {
  state(): FoundingState
  /** @throws STA003 with `details.reason`: `unsaved`, `closed`; COM003 where too much waits */
  apply<T>(step: (from: FoundingState) => FoundingStep<T>): Promise<T>
  counts(): { readonly unsaved: number; readonly waitedTooMany: number }
  /** Refuses what comes, and waits for what is under way. */
  close(): Promise<void>
}

interface Kept {
  readonly store: FoundingStore
  readonly log: Port['log']
  readonly first: FoundingState
  /** As it is on the disk. */
  readonly saved: FoundingRecord | undefined
  /** What a step that counts brings with it. */
  readonly follow: (before: FoundingState) => void
}

/** Resolves once what a restart made of the record is on the disk too. @throws STA003 `unsaved` */
export const createDurableFounding = async ({ store, log, first, saved, follow }: Kept): Promise<DurableFounding> => {
  let state = first
  let tail: Promise<unknown> = Promise.resolve()
  let waiting = 0
  let closed = false
  let isFailing = false
  const counts = { unsaved: 0, waitedTooMany: 0 }

  const save = async (record: FoundingRecord): Promise<void> => {
    try {
      await store.save(record)
      isFailing = false
    } catch (error) {
      counts.unsaved += 1
      if (!isFailing) log.error('what this node promises cannot be saved', { error })
      isFailing = true
      // The store's own words may name files; they stay here.
      throw stateError(
        'unsaved',
        'a node cannot save what it promises',
        'look into its log; it is asked again',
        {},
        error,
      )
    }
  }
  const run = async <T>(step: (from: FoundingState) => FoundingStep<T>): Promise<T> => {
    waiting -= 1
    if (closed) throw stateError('closed', 'this node is stopping', 'ask another one')
    const before = state
    const { state: next, result } = step(before)
    if (next.record !== before.record) await save(next.record)
    state = next
    follow(before)
    return result
  }

  if (saved !== undefined && first.record !== saved) await save(first.record)
  return {
    state: () => state,
    apply(step) {
      if (waiting >= MAX_WAITING) {
        counts.waitedTooMany += 1
        const message = `${MAX_WAITING} steps of a founding wait for the disk`
        return Promise.reject(new ParleyError('COM003', message, { hint: 'ask again later' }))
      }
      waiting += 1
      const done = tail.then(() => run(step))
      tail = done.catch(() => {})
      return done
    },
    counts: () => counts,
    async close() {
      closed = true
      await tail
    },
  }
}
