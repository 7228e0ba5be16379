/** `change`: a function of the program over a sending transaction, run again where others changed what it read. */
import { ParleyError } from '../../errors.ts'
import type { Tx } from '../api.ts'
import type { CurrentRuntime } from '../current-runtime.ts'
import type { RowStore } from '../store/row-storage.ts'

export interface RunChangeDeps {
  readonly store: Pick<RowStore, 'commit'>
  readonly current: CurrentRuntime
  count(what: 'conflicts'): void
}

const MAX_RUNS = 100

const contended = (): ParleyError =>
  new ParleyError('STA003', `a change met those of others ${MAX_RUNS} times`, {
    hint: 'read less in one change, or do such changes one after the other',
    details: { reason: 'contended' },
  })

/** @returns once it is durable. @throws what `fn` throws, and nothing counts; STA003 */
export const runChange = async <R>(
  { store, current, count }: RunChangeDeps,
  fn: (tx: Tx) => Promise<R> | R,
): Promise<R> => {
  for (let run = 1; ; run += 1) {
    const runtime = current.get()
    const sending = runtime.staging.begin(false)
    try {
      const result = await fn(sending.tx)
      while (!sending.isStale() && sending.isBusy()) await sending.ready()
      current.mustStillBe(runtime)
      if (sending.isStale()) {
        count('conflicts')
        if (run >= MAX_RUNS) throw contended()
        continue
      }
      const { changes, launch, drop } = sending.finish()
      try {
        await store.commit(changes)
      } catch (error) {
        drop()
        throw error
      }
      launch()
      return result
    } finally {
      sending.abandon()
    }
  }
}
