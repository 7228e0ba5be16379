/**
 * Asks other nodes to hold values of tasks: voters first, then whoever is connected, each for as long as the bytes may take.
 * State: peers that keep nothing for now (bounded).
 */
import { abortable } from '../../async.ts'
import { isParleyError, ParleyError } from '../../errors.ts'
import type { Port } from '../../port.ts'
import type { Liveness } from '../scheduler/worker-presence.ts'
import { taskBytesProtocol } from './bytes-contract.ts'
import { hexHash, type OfferedBytes, type OfferedValues, PACE_BYTES_PER_MS } from './bytes-sources.ts'
import type { BytesPlace } from './stored-bytes.ts'

/** Copies of a value, where so many nodes have a disk. */
export const COPIES = 3
/** Nodes that are asked to hold one value. */
const MAX_ASKED = 16
/** Milliseconds that a peer without a disk, or one that was too slow, is not asked again. */
const DISKLESS_MS = 60_000
/** Milliseconds that holding a value may take, beside what its bytes take: others may be before it. */
const HOLD_MS = 5_000
const MAX_DISKLESS = 1_024

export interface HolderRequestsDeps {
  readonly port: Pick<Port, 'self' | 'clock' | 'timers' | 'hash' | 'to' | 'members'>
  readonly offers: OfferedValues
  presenceOf(peer: string): Liveness
  /** Peers that vote: they have disks. */
  voters(): readonly string[]
}

export class HolderRequests {
  readonly #deps: HolderRequestsDeps
  /** Who keeps nothing, for now: when each may be asked again, monotonic. */
  readonly #diskless = new Map<string, number>()

  constructor(deps: HolderRequestsDeps) {
    this.#deps = deps
  }

  /** Has others hold it. @returns who does by now: at most `most` */
  async spread(
    asked: BytesPlace & { readonly size: number },
    open: OfferedBytes,
    {
      most,
      except,
      signal,
      failed = [],
    }: { most: number; except: readonly string[]; signal?: AbortSignal; failed?: unknown[] },
  ): Promise<string[]> {
    const { offers } = this.#deps
    const candidates = this.#candidates(asked.hash, except)
    const asking = new Set<string>()
    const found: string[] = []
    const takeBack = offers.offer(asked, asking, open)
    const ask = async (): Promise<void> => {
      // Those that are being asked count: nobody else holds it in vain.
      while (found.length + asking.size < most && signal?.aborted !== true) {
        const peer = candidates.shift()
        if (peer === undefined) return
        asking.add(peer)
        try {
          await this.#hold(peer, asked, signal)
          found.push(peer)
        } catch (error) {
          failed.push(error)
          this.#note(peer, error)
        } finally {
          asking.delete(peer)
        }
      }
    }
    try {
      await Promise.all(Array.from({ length: Math.max(0, most) }, ask))
    } finally {
      takeBack()
    }
    return found.slice(0, Math.max(0, most))
  }

  /** To one that should hold it. @returns whether it does */
  async give(
    asked: BytesPlace & { readonly size: number },
    peer: string,
    open: OfferedBytes,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { offers } = this.#deps
    const takeBack = offers.offer(asked, new Set([peer]), open)
    try {
      await this.#hold(peer, asked, signal)
      return true
    } catch (error) {
      this.#note(peer, error)
      return false
    } finally {
      takeBack()
    }
  }

  /** Whoever takes too long keeps nobody waiting, whatever it says meanwhile. */
  async #hold(
    peer: string,
    { task, row, hash, size }: BytesPlace & { readonly size: number },
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { port } = this.#deps
    const late = new AbortController()
    const stop = port.timers.after(HOLD_MS + size / PACE_BYTES_PER_MS, () => {
      this.#leaveOut(peer)
      late.abort(new ParleyError('COM001', `${peer} did not hold ${size} bytes in time`, { hint: 'ask another node' }))
    })
    const ended = signal === undefined ? late.signal : AbortSignal.any([signal, late.signal])
    try {
      await abortable(port.to(peer, taskBytesProtocol).hold({ task, row, hash, size }, { signal: ended }), ended)
    } finally {
      stop()
    }
  }

  #note(peer: string, error: unknown): void {
    // A version before this one does not know the question; it has no disk for it either.
    if (!isParleyError(error, 'MSG004') && !(isParleyError(error, 'STA003') && error.details.reason === 'volatile'))
      return
    this.#leaveOut(peer)
  }

  #leaveOut(peer: string): void {
    const { clock } = this.#deps.port
    this.#diskless.delete(peer)
    this.#diskless.set(peer, clock.monotonic() + DISKLESS_MS)
    const [oldest] = this.#diskless.keys()
    if (this.#diskless.size > MAX_DISKLESS && oldest !== undefined) this.#diskless.delete(oldest)
  }

  /** Voters first, then others that are connected; which of them follows from the hash, so that loads are even. */
  #candidates(hash: string, except: readonly string[]): string[] {
    const { port, presenceOf, voters } = this.#deps
    const now = port.clock.monotonic()
    const encoder = new TextEncoder()
    const rank = (peer: string): string => hexHash(port, encoder.encode(`${hash}/${peer}`))
    const isUsable = (peer: string): boolean =>
      peer !== port.self.id &&
      !except.includes(peer) &&
      presenceOf(peer) === 'there' &&
      (this.#diskless.get(peer) ?? 0) <= now
    const first = new Set(voters())
    const sorted = (peers: readonly string[]): string[] =>
      peers
        .filter(isUsable)
        .map((peer) => [rank(peer), peer] as const)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([, peer]) => peer)
    const others = port.members().flatMap(({ id }) => (first.has(id) ? [] : [id]))
    return [...sorted([...first]), ...sorted(others)].slice(0, MAX_ASKED)
  }
}
