/**
 * Following the journal from any node: what there is, then each change as it is decided, without a gap.
 *
 * A stream from a member that has a seat; where it breaks another member goes on from the version that was reached. What
 * is too old to be told as changes comes as a whole again. State: the version that was reached.
 */
import type { Whereabouts } from '../coordinator/whereabouts.ts'
import { isParleyError } from '../errors.ts'
import type { Port } from '../port.ts'
import type { Json } from './command.ts'
import { journalProtocol, type WireRecord } from './contract.ts'
import type { Fence } from './fence.ts'
import { notFounded } from './serve.ts'

export type JournalChange =
  /** All that there is under the prefix; what was told before is void. */
  | { readonly type: 'records'; readonly version: number; readonly records: readonly WireRecord[] }
  | {
      readonly type: 'change'
      readonly version: number
      readonly key: string
      readonly fence: Fence
      /** Milliseconds since 1970, by the clocks of coordinators. */
      readonly at: number
      /** Absent: it was deleted. */
      readonly value?: Json | undefined
    }

export interface WatchOptions {
  /** Only keys that begin so; all unless told. */
  readonly prefix?: string
  /** Changes after this version; everything there is, first, unless told. */
  readonly from?: number
  readonly signal?: AbortSignal
}

export interface WatchDeps {
  readonly port: Pick<Port, 'self' | 'timers' | 'random' | 'to'>
  readonly whereabouts: Whereabouts
  meshId(): string | undefined
  hasSeat(): boolean
}

const AGAIN_MS = 100
const NEVER = new AbortController().signal

export const createWatch = ({ port, whereabouts, meshId, hasSeat }: WatchDeps) =>
  async function* watch({ prefix = '', from, signal = NEVER }: WatchOptions = {}): AsyncGenerator<JournalChange, void> {
    let version = from
    const pause = (): Promise<void> => new Promise((resolve) => void port.timers.after(AGAIN_MS, resolve))

    /** Another member each time. */
    const target = async (): Promise<string> => {
      if (hasSeat()) return port.self.id
      const { seats } = whereabouts.heard()
      const some = seats[Math.floor(((port.random(1)[0] ?? 0) / 256) * seats.length)]
      return some ?? (await whereabouts.find(signal)).peer
    }

    while (!signal.aborted) {
      const id = meshId()
      if (id === undefined) throw notFounded()
      let parts: WireRecord[] = []
      try {
        const stream = port
          .to(await target(), journalProtocol)
          .follow({ meshId: id, prefix, ...(version !== undefined && { from: version }) }, { signal })
        for await (const item of stream) {
          if (item.type === 'changes') {
            for (const change of item.changes) yield { type: 'change', version: change.fence.index, ...change }
            version = item.version
            continue
          }
          parts = item.first ? [...item.records] : [...parts, ...item.records]
          if (!item.last) continue
          yield { type: 'records', version: item.version, records: parts }
          version = item.version
          parts = []
        }
      } catch (error) {
        if (signal.aborted) return
        if (isParleyError(error, 'MSG001', 'SEC002')) throw error
      }
      await pause()
    }
  }
