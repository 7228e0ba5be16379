/**
 * Finds out what this node and its neighbours hold of the words of one subscription (history-catalog.ts), as far as it
 * starts in the past: at the beginning of a word, and of each neighbour that comes later.
 *
 * State: what is held of each publisher, as it was told; publishers that are heard for the first time meanwhile, which wait
 * for the answers.
 */
import type { Port, Stop } from '../../port.ts'
import type { EventSeries } from '../series.ts'
import type { CatalogQuery } from './history-catalog.ts'
import { type HeldEpochs, mergeHeld } from './start-position.ts'

/** How often a neighbour is asked what it holds that does not answer; before the second time, and twice that before the third. */
const CATALOG_ATTEMPTS = 3
const CATALOG_AGAIN_MS = 1_000

/** A publisher that was heard for the first time, and the number of its first event that came. */
export type Newcomer = EventSeries & { readonly first: number }

export interface CatalogGatheringHooks {
  /** An answer for this word came; publishers of whom something is held are named. */
  gathered(word: string, publishers: readonly string[]): void
  /** All answers have come: where these start is known as far as it can be. */
  complete(newcomers: readonly Newcomer[]): void
}

const NONE_HELD: HeldEpochs = new Map()

const keyOf = (publisher: string, word: string): string => `${publisher} ${word}`

export class CatalogGathering {
  readonly #port: Pick<Port, 'timers' | 'log'>
  readonly #query: CatalogQuery
  readonly #since: number | undefined
  readonly #hooks: CatalogGatheringHooks
  /** By publisher and word. */
  readonly #held = new Map<string, Map<number, { from: number; to: number; since: number | undefined }>>()
  readonly #newcomers = new Map<string, Newcomer>()
  readonly #stops = new Set<Stop>()
  #running = 0
  #closed = false

  /** @param since events from then on are asked for; undefined: all */
  constructor(
    port: Pick<Port, 'timers' | 'log'>,
    query: CatalogQuery,
    since: number | undefined,
    hooks: CatalogGatheringHooks,
  ) {
    this.#port = port
    this.#query = query
    this.#since = since
    this.#hooks = hooks
  }

  isRunning(): boolean {
    return this.#running > 0
  }

  heldOf(publisher: string, word: string): HeldEpochs {
    return this.#held.get(keyOf(publisher, word)) ?? NONE_HELD
  }

  /** Asks this node and all neighbours. */
  begin(word: string): Promise<void> {
    return this.#gather(word, undefined, 1)
  }

  /** Asks one neighbour, in the background. */
  askPeer(word: string, peer: string): void {
    this.#gatherLater(word, [peer], 1)
  }

  /** @returns false where there are `max` already */
  addNewcomer(newcomer: Newcomer, max: number): boolean {
    if (this.#newcomers.size >= max) return false
    const key = keyOf(newcomer.publisher, newcomer.word)
    if (!this.#newcomers.has(key)) this.#newcomers.set(key, newcomer)
    return true
  }

  close(): void {
    this.#closed = true
    for (const stop of this.#stops) stop()
    this.#stops.clear()
  }

  async #gather(word: string, peers: readonly string[] | undefined, attempt: number): Promise<void> {
    this.#running += 1
    try {
      const answers = await this.#query(word, this.#since, peers, attempt)
      mergeHeld(this.#held, answers.held)
      this.#askAgain(word, answers.silent, attempt + 1)
    } finally {
      this.#running -= 1
    }
    if (this.#closed) return
    this.#hooks.gathered(word, this.#publishersOf(word))
    if (this.#running > 0) return
    const newcomers = [...this.#newcomers.values()]
    this.#newcomers.clear()
    this.#hooks.complete(newcomers)
  }

  /** Who was busy may hold what nobody else does. */
  #askAgain(word: string, silent: readonly string[], attempt: number): void {
    if (silent.length === 0 || attempt > CATALOG_ATTEMPTS || this.#closed) return
    const stop = this.#port.timers.after(CATALOG_AGAIN_MS * 2 ** (attempt - 2), () => {
      this.#stops.delete(stop)
      this.#gatherLater(word, silent, attempt)
    })
    this.#stops.add(stop)
  }

  #gatherLater(word: string, peers: readonly string[], attempt: number): void {
    this.#gather(word, peers, attempt).catch((error: unknown) =>
      this.#port.log.error('a neighbour could not be asked what it holds', { word, error }),
    )
  }

  #publishersOf(word: string): string[] {
    const keys = [...this.#held.keys()].filter((key) => key.endsWith(` ${word}`))
    return keys.map((key) => key.split(' ')[0] ?? '')
  }
}
