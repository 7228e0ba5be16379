/**
 * Comparing directories with one peer after another: a few at a time, each peer at most once in the queue and once
 * under way.
 *
 * State: how many comparisons there were, peers that wait (bounded by the connected ones: `drop` is called when a peer is gone) and peers under way.
 */
import { abortable } from '../../../protocols/async.ts'
import { ParleyError } from '../../../protocols/errors.ts'
import type { Port } from '../../../protocols/port.ts'
import type { DirectoryCounts } from '../directory-counts.ts'
import { directoryProtocol, MAX_DIGEST } from '../protocol.ts'
import type { Change } from '../tables/agent-change.ts'
import type { AgedRecord, Digest } from '../tables/digest.ts'
import type { DirectoryState } from '../tables/directory-state.ts'
import type { DigestCodec } from './digest-codec.ts'
import type { RecordSource } from './record-intake.ts'

/** Rounds of one comparison: what the largest directory of the largest records takes. */
const MAX_ROUNDS = 1024
/** Every so often all is compared, whatever the sums say. */
const WHOLE_EACH = 32

interface Syncing {
  readonly port: Pick<Port, 'clock' | 'to'>
  readonly state: DirectoryState
  readonly packed: DigestCodec
  /** Of the tables as they are, see `createTableSum`. */
  readonly sum: () => Uint8Array
  readonly counts: DirectoryCounts
  readonly maxConcurrent: number
  readonly signal: AbortSignal
  readonly expire: () => void
  readonly emit: (changes: readonly Change[]) => void
  readonly receiveAll: (items: readonly AgedRecord[], via: RecordSource, from: string) => Promise<number>
  readonly push: (peer: string, records: readonly AgedRecord[]) => Promise<void>
  /** Called after each complete exchange. */
  readonly onSynced: () => void
}

export const createDirectorySync = (the: Syncing) => {
  const { state, packed } = the
  const waiting = new Set<string>()
  const running = new Set<string>()
  let comparisons = 0

  const ask = (peer: string, digest: Digest, now: number, sum?: Uint8Array) =>
    the.port.to(peer, directoryProtocol).sync(
      {
        digest: packed.pack(digest),
        ended: packed.pack(state.endedDigest(now)),
        doubts: packed.pack(state.doubts(now)),
        room: state.room(),
        ...(sum && { sum }),
      },
      { signal: the.signal },
    )
  type Answer = Awaited<ReturnType<typeof ask>>

  /** With the time that the answer may have taken: who is dead must not grow younger by being talked about. */
  const learn = ({ fresher }: Answer, askedAt: number, from: string): void => {
    const now = the.port.clock.monotonic()
    const ages = packed.unpackAges(fresher, MAX_DIGEST)
    for (const [agent, ageMs] of ages) if (ageMs === 0) state.vouch(agent, from)
    the.emit(ages.flatMap(([agent, ageMs]) => state.hear(agent, ageMs + (now - askedAt), now)))
  }

  /** Mostly both have the same, and all there is to tell is who was heard of lately. */
  const isSame = async (peer: string): Promise<boolean> => {
    the.expire()
    const askedAt = the.port.clock.monotonic()
    const answer = await ask(peer, state.aging(askedAt), askedAt, the.sum())
    learn(answer, askedAt, peer)
    return !answer.differs
  }

  /** One round. Whoever is asked compares with what it was told, so the first round says all that the peer lacks. */
  const round = async (peer: string, isFirst: boolean): Promise<{ goesOn: boolean }> => {
    the.expire()
    const askedAt = the.port.clock.monotonic()
    const answer = await ask(peer, state.digest(askedAt), askedAt)
    const { records, more } = answer
    const wants = packed.unpackPeers(answer.wants, MAX_DIGEST)
    learn(answer, askedAt, peer)
    const accepted = await the.receiveAll(records, 'sync', peer)
    if (isFirst) await the.push(peer, state.give(wants, the.port.clock.monotonic()))
    // Without progress the peer would answer the same again.
    return { goesOn: more && accepted > 0 }
  }

  const run = async (peer: string): Promise<void> => {
    try {
      comparisons += 1
      const isDue = comparisons % WHOLE_EACH === 0
      const isOver = !isDue && (await isSame(peer))
      for (let n = 0; !isOver && n < MAX_ROUNDS; n += 1) if (!(await round(peer, n === 0)).goesOn) break
      the.counts.sent.add('sync ok')
      the.onSynced()
    } catch {
      // The next period asks another peer.
      the.counts.sent.add('sync failed')
    }
  }

  const pump = (): void => {
    for (const peer of waiting) {
      if (running.size >= the.maxConcurrent) return
      // A peer that came back while its last comparison hangs is compared with again after that.
      if (running.has(peer)) continue
      waiting.delete(peer)
      running.add(peer)
      void run(peer).then(() => {
        running.delete(peer)
        pump()
      })
    }
  }

  return {
    /** At once, whoever waits. Never rejects. */
    compare: run,
    request: (peer: string): void => {
      waiting.add(peer)
      pump()
    },
    drop: (peer: string): void => {
      waiting.delete(peer)
    },
    clear: (): void => waiting.clear(),
    sizes: () => ({ waiting: waiting.size, running: running.size }),
  }
}

/** Something that happens once and that anybody may wait for, or give up waiting for. */
export const createFirstSync = () => {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  promise.catch(() => {}) // Nobody has to wait.
  const wait = ({ signal }: { signal?: AbortSignal } = {}): Promise<void> => abortable(promise, signal)
  return {
    resolve,
    wait,
    /** Whoever waits gets COM002. */
    stop: (): void =>
      reject(
        new ParleyError('COM002', 'the directory stopped before it was in step with any peer', {
          hint: 'check that a peer can be reached, then start again',
        }),
      ),
  }
}
