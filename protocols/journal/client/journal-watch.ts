/**
 * Following the journal from any node: what there is, then each change as it is decided, without a gap.
 *
 * A stream from a member; where it breaks, or falls behind what the coordinator tells, another member goes
 * on from the version that was reached. What is too old to be told as changes comes as a whole again, and everything does
 * where the node comes to belong to another mesh. State: the version that was reached.
 */
import { pause } from '../../async.ts'
import type { LeaderTracker } from '../../coordinator/leader-tracker.ts'
import { isParleyError } from '../../errors.ts'
import type { Port } from '../../port.ts'
import { journalProtocol, type WireRecord } from '../contract.ts'
import type { Fence } from '../fencing/fence.ts'
import type { Json } from '../state/command-kind.ts'

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

export interface JournalWatchDeps {
  readonly port: Pick<Port, 'self' | 'clock' | 'timers' | 'random' | 'to'>
  readonly leaderTracker: LeaderTracker
  meshId(): string | undefined
  isMember(): boolean
}

const AGAIN_MS = 100
/** A member that tells nothing for so long, although the coordinator tells of more, is behind. */
const BEHIND_MS = 3_000
const LOOK_MS = 500

export const createJournalWatch = ({ port, leaderTracker, meshId, isMember }: JournalWatchDeps) =>
  async function* watch({ prefix = '', from, signal: caller }: WatchOptions = {}): AsyncGenerator<JournalChange, void> {
    const signal = caller === undefined ? leaderTracker.stopped : AbortSignal.any([caller, leaderTracker.stopped])
    let version = from
    let mesh: string | undefined
    /** Whom the last stream came from, which is over: another one is tried. */
    let before: string | undefined

    const target = async (): Promise<string> => {
      if (isMember() && before !== port.self.id) return port.self.id
      const others = leaderTracker.latest().seats.filter((peer) => peer !== before && peer !== port.self.id)
      const some = others[Math.floor(((port.random(1)[0] ?? 0) / 256) * others.length)]
      return some ?? (await leaderTracker.find(signal)).peer
    }

    while (!signal.aborted) {
      const id = meshId()
      if (id === undefined) {
        await pause(port.timers, AGAIN_MS, signal)
        continue
      }
      // Versions of another journal say nothing here.
      if (mesh !== undefined && mesh !== id) version = undefined
      mesh = id
      let parts: WireRecord[] = []
      /** Since when the next item is waited for; not while it is being used. */
      let waitingSince: number | undefined = port.clock.monotonic()
      const behind = new AbortController()
      const stopLooking = port.timers.every(LOOK_MS, () => {
        const isLate = waitingSince !== undefined && port.clock.monotonic() - waitingSince >= BEHIND_MS
        const isBehind = version === undefined || leaderTracker.latest().version > version || meshId() !== id
        if (isLate && isBehind) behind.abort(new Error('this member is behind'))
      })
      try {
        before = await target()
        const stream = port
          .to(before, journalProtocol)
          .follow(
            { meshId: id, prefix, ...(version !== undefined && { from: version }) },
            { signal: AbortSignal.any([signal, behind.signal]) },
          )
        for await (const item of stream) {
          waitingSince = undefined
          if (item.type === 'changes') {
            for (const change of item.changes) yield { type: 'change', version: change.fence.index, ...change }
            version = item.version
          } else {
            parts = item.first ? [...item.records] : [...parts, ...item.records]
            if (item.last) {
              yield { type: 'records', version: item.version, records: parts }
              version = item.version
              parts = []
            }
          }
          waitingSince = port.clock.monotonic()
        }
      } catch (error) {
        if (!signal.aborted && isParleyError(error, 'MSG001', 'SEC002')) throw error
      } finally {
        stopLooking()
      }
      await pause(port.timers, AGAIN_MS, signal)
    }
    if (caller?.aborted !== true) throw leaderTracker.stopped.reason
  }
