/**
 * What neighbours may ask of this node: protocol `/parley/events/1`, methods `sync`, `fetch`, `heads` and `catalog`.
 *
 * State: how many questions wait, and what each neighbour has asked of the history lately; both are bounded.
 */
import { ParleyError } from '../../errors.ts'
import { createFairShares } from '../../limits/fair-shares.ts'
import { createRateLimiter } from '../../limits/rate-limiter.ts'
import type { Port } from '../../port.ts'
import type { History } from '../history/history.ts'
import { eventsProtocol, type OwnHead, type WireHead } from '../protocol.ts'
import { catalogForPeer } from '../replay/history-catalog.ts'
import type { EventSeries, SequenceRange } from '../series.ts'

/** Neighbours' questions that wait at one time; the next is answered at once with what is seen. */
export const MAX_WAITING_SYNCS = 1024
/** What one neighbour may ask of the history: pages, and for what it holds, which takes as long as some of them. */
export const HISTORY_REQUEST_RATE = { perSecond: 512, burst: 2_048, maxKeys: 1_024 }
export const CATALOG_COST = 8

export interface EventRequestHooks {
  /** Waits until this node sees the neighbour subscribed to all of these gossip topics, at most so long. */
  waitUntilSeen(peer: string, topics: readonly string[], timeoutMs: number): Promise<void>
  /** @returns those of these topics to which the neighbour is seen subscribed, and those of them that this node hears */
  seen(peer: string, topics: readonly string[]): { seen: string[]; hears: string[] }
  /** How far this node is with what it publishes, for a neighbour that says that it hears these topics, seen or not. */
  ownHeads(peer: string, topics: readonly string[]): OwnHead[]
  /** Up to where what this node does not have of these is gone for good; undefined where it is not sure of any. */
  goneTo(series: EventSeries, range: SequenceRange): number | undefined
  receiveHeads(from: string, heads: readonly WireHead[]): Promise<void>
}

export class EventRequests {
  /** Settles once the protocol is served; rejects when it cannot be. */
  readonly serving: Promise<void>
  readonly #port: Pick<Port, 'clock' | 'log' | 'metrics' | 'serve'>
  readonly #syncMs: number
  readonly #history: Pick<History, 'find' | 'list'>
  readonly #hooks: EventRequestHooks
  /** That wait, by who asks: nobody takes all places, and who has none is answered at once. */
  readonly #questions = createFairShares(MAX_WAITING_SYNCS)
  readonly #rates = createRateLimiter(HISTORY_REQUEST_RATE)
  readonly #refused: (labels: { method: string }) => void
  readonly #served: Promise<() => Promise<void>>

  constructor(
    port: Pick<Port, 'clock' | 'log' | 'metrics' | 'serve'>,
    syncMs: number,
    history: Pick<History, 'find' | 'list'>,
    hooks: EventRequestHooks,
  ) {
    this.#port = port
    this.#syncMs = syncMs
    this.#history = history
    this.#hooks = hooks
    this.#refused = port.metrics.counter('events_asked_refused_total', 'Questions of neighbours beyond their share', [
      'method',
    ])
    this.#served = port.serve(eventsProtocol, {
      sync: ({ topics }, context) => this.#sync(context.peer, topics, context.remainingMs()),
      fetch: ({ from, to, ...series }, { peer }) => this.#fetch(peer, series, { from, to }),
      heads: ({ heads }, { peer }) => hooks.receiveHeads(peer, heads),
      catalog: async ({ word, since }, { peer }) => {
        this.#checkRate(peer, 'catalog', CATALOG_COST)
        return { held: await catalogForPeer(history, word, since) }
      },
    })
    this.serving = this.#served.then(() => undefined)
    this.serving.catch((error: unknown) => port.log.error('the events protocol cannot be served', { error }))
  }

  async stop(): Promise<void> {
    const close = await this.#served.catch(() => undefined)
    await close?.()
  }

  async #sync(peer: string, topics: readonly string[], remainingMs: number) {
    // The answer must be on its way before the caller gives up.
    const waitMs = Math.min(this.#syncMs, remainingMs * 0.8)
    if (waitMs > 0 && this.#questions.take(peer)) {
      try {
        await this.#hooks.waitUntilSeen(peer, topics, waitMs)
      } finally {
        this.#questions.give(peer)
      }
    }
    return { ...this.#hooks.seen(peer, topics), own: this.#hooks.ownHeads(peer, topics) }
  }

  async #fetch(peer: string, series: EventSeries, range: SequenceRange) {
    this.#checkRate(peer, 'fetch', 1)
    const { batches, more } = await this.#history.find(series, range)
    const goneTo = this.#hooks.goneTo(series, range)
    return { batches: [...batches], more, ...(goneTo === undefined ? {} : { goneTo }) }
  }

  /** @throws COM003 where the peer has asked too much lately */
  #checkRate(peer: string, method: 'fetch' | 'catalog', cost: number): void {
    const now = this.#port.clock.monotonic()
    if (this.#rates.take(peer, now, cost)) return
    this.#refused({ method })
    throw new ParleyError('COM003', 'this peer asks too often for events that are kept here', {
      hint: 'ask others too, or later',
      details: { retryAfterMs: this.#rates.waitMs(peer, now, cost), reason: 'history' },
    })
  }
}
