/**
 * Who hears us: makes sure that neighbours and this node know of each other's gossip topics before anything is sent.
 *
 * Gossipsub tells subscriptions on its own stream, some milliseconds after a connection or a subscribe; what is published
 * before is lost without a word. So each node asks every neighbour, once per topic, "do you see that I am subscribed to
 * these?" (protocol `events`, method `sync`). The neighbour waits until it does, and answers which of them it hears
 * itself; the asker then waits until it sees that too. After that neither side can miss what the other publishes. Every
 * wait ends after `syncMs`; who did not answer is named.
 *
 * State: per topic the neighbours that were asked and those that answered; dropped when a neighbour leaves.
 */
import { ParleyError } from '../../errors.ts'
import { createFairShares, createRateLimiter } from '../../limits/fair-shares.ts'
import type { Member, Port, Stop } from '../../port.ts'
import type { History } from '../history/history.ts'
import { eventsProtocol, type OwnHead, type WireHead } from '../protocol.ts'
import { catalogForPeer } from '../replay/history-catalog.ts'
import type { EventSeries, SequenceRange } from '../series.ts'

/** Calls to neighbours at one time. */
const MAX_CALLS = 16
/** Neighbours' questions that wait at one time; the next is answered at once with what is seen. */
export const MAX_WAITING_SYNCS = 1024
/** What one neighbour may ask of the history: pages, and for what it holds, which takes as long as some of them. */
export const HISTORY_REQUEST_RATE = { perSecond: 512, burst: 2_048, maxKeys: 1_024 }
export const CATALOG_COST = 8

/** One gossip topic that this node is subscribed to, and who knows of it. */
export interface SyncedTopic {
  readonly topic: string
  /** Asked, and neither answered nor given up. Publishing waits while there is one. */
  readonly waiting: Set<string>
  /** Answered that they see us, and seen by us where they hear the topic themselves. */
  readonly confirmed: Set<string>
  /** Called when `waiting` becomes empty. */
  readonly wake: Set<() => void>
}

export const createSyncedTopic = (topic: string): SyncedTopic => ({
  topic,
  waiting: new Set(),
  confirmed: new Set(),
  wake: new Set(),
})

export type SubscriptionSyncPort = Pick<
  Port,
  'clock' | 'timers' | 'log' | 'metrics' | 'gossip' | 'members' | 'onMember' | 'serve' | 'to'
>

export interface SubscriptionSync {
  /**
   * Tells every neighbour that does not know yet of these topics. They are `waiting` before this returns; the promise is
   * for all the answers.
   */
  announce(audiences: readonly SyncedTopic[]): Promise<void>
  /** Waits until nobody is being asked about the topic, or `timeoutMs`. */
  settled(audience: SyncedTopic, timeoutMs: number): Promise<void>
  /** Settles once the protocol is served; rejects when it cannot be. */
  readonly serving: Promise<void>
  stop(): Promise<void>
}

export interface SubscriptionSyncOptions {
  syncMs: number
  /** The gossip topics this node is subscribed to, right now. */
  syncedTopics(): Iterable<SyncedTopic>
  isSubscribed(topic: string): boolean
  /** A neighbour's subscriptions changed. */
  onNeighbour(peer: string): void
  /** What neighbours may fetch. */
  history: Pick<History, 'find' | 'list'>
  /** Up to where what this node does not have of these is gone for good; undefined where it is not sure of any. */
  goneTo(series: EventSeries, range: SequenceRange): number | undefined
  /** How far this node is with what it publishes, for a neighbour that says that it hears these topics, seen or not. */
  ownHeads(peer: string, topics: readonly string[]): OwnHead[]
  /** How far a neighbour is; undefined for one that does not tell. */
  learnHeads(peer: string, own: readonly OwnHead[] | undefined): void
  receiveHeads(from: string, heads: readonly WireHead[]): Promise<void>
}

export const createSubscriptionSync = (
  port: SubscriptionSyncPort,
  options: SubscriptionSyncOptions,
): SubscriptionSync => {
  const { syncMs } = options
  // A member that left and came back is another object, so that an answer from before is not taken for one from now.
  const members = new Map<string, Member>()
  const checks = new Set<() => void>()
  let stopped = false

  const settle = (audience: SyncedTopic, peer: string): void => {
    if (!audience.waiting.delete(peer) || audience.waiting.size > 0) return
    for (const wake of [...audience.wake]) wake()
  }

  /** Waits until `check` holds, looking again whenever a neighbour's subscriptions change. */
  const until = (check: () => boolean, timeoutMs: number): Promise<void> => {
    if (stopped || check()) return Promise.resolve()
    return new Promise((resolve) => {
      const finish = () => {
        checks.delete(look)
        cancel()
        resolve()
      }
      const look = () => {
        if (stopped || check()) finish()
      }
      const cancel = port.timers.after(timeoutMs, finish)
      checks.add(look)
    })
  }
  const sees = (peer: string, topic: string): boolean => port.gossip.subscribers(topic).includes(peer)

  /** Asks one neighbour about topics that are already marked as waiting for it. */
  const ask = async (member: Member, audiences: readonly SyncedTopic[]): Promise<void> => {
    const peer = member.id
    const settleAll = () => {
      if (members.get(peer) === member) for (const audience of audiences) settle(audience, peer)
    }
    const cancel = port.timers.after(syncMs, settleAll)
    try {
      const topics = audiences.map((audience) => audience.topic)
      const { seen, hears, own } = await port.to(peer, eventsProtocol).sync({ topics }, { timeoutMs: syncMs })
      const back = hears.filter((topic) => topics.includes(topic))
      await until(() => members.get(peer) !== member || back.every((topic) => sees(peer, topic)), syncMs)
      if (members.get(peer) !== member) return
      for (const audience of audiences) {
        const answered = seen.includes(audience.topic)
        if (answered && (!back.includes(audience.topic) || sees(peer, audience.topic))) audience.confirmed.add(peer)
      }
      options.learnHeads(peer, own)
    } catch (error) {
      if (members.get(peer) === member) port.log.warn('a neighbour did not answer about topics', { peer, error })
    } finally {
      cancel()
      settleAll()
    }
  }

  const announce = async (
    audiences: readonly SyncedTopic[],
    to: Iterable<Member> = members.values(),
  ): Promise<void> => {
    const asks: { member: Member; news: SyncedTopic[] }[] = []
    for (const member of to) {
      const news = audiences.filter(({ waiting, confirmed }) => !waiting.has(member.id) && !confirmed.has(member.id))
      for (const audience of news) audience.waiting.add(member.id)
      if (news.length > 0) asks.push({ member, news })
    }
    let index = 0
    const caller = async () => {
      for (let next = asks[index++]; next !== undefined; next = asks[index++]) await ask(next.member, next.news)
    }
    await Promise.all(Array.from({ length: Math.min(MAX_CALLS, asks.length) }, caller))
  }

  const forget = (peer: string): void => {
    members.delete(peer)
    for (const audience of options.syncedTopics()) {
      audience.confirmed.delete(peer)
      settle(audience, peer)
    }
  }
  const welcome = (member: Member): void => {
    if (members.has(member.id)) forget(member.id)
    members.set(member.id, member)
    void announce([...options.syncedTopics()], [member])
  }

  const stops: Stop[] = [
    port.onMember((member, change) => {
      if (change === 'joined') welcome({ ...member })
      else forget(member.id)
      for (const look of [...checks]) look()
    }),
    port.gossip.onSubscriptions((peer) => {
      options.onNeighbour(peer)
      for (const look of [...checks]) look()
    }),
  ]
  for (const member of port.members()) welcome({ ...member })

  /** That wait, by who asks: nobody takes all places, and who has none is answered at once. */
  const questions = createFairShares(MAX_WAITING_SYNCS)
  const asked = createRateLimiter(HISTORY_REQUEST_RATE)
  const refused = port.metrics.counter('events_asked_refused_total', 'Questions of neighbours beyond their share', [
    'method',
  ])
  /** @throws COM003 where the peer has asked too much lately */
  const checkAsked = (peer: string, method: 'fetch' | 'catalog', cost: number): void => {
    const now = port.clock.monotonic()
    if (asked.take(peer, now, cost)) return
    refused({ method })
    throw new ParleyError('COM003', 'this peer asks too often for events that are kept here', {
      hint: 'ask others too, or later',
      details: { retryAfterMs: asked.waitMs(peer, now, cost), reason: 'history' },
    })
  }
  const serve = port.serve(eventsProtocol, {
    async sync({ topics }, context) {
      // The answer must be on its way before the caller gives up.
      const waitMs = Math.min(syncMs, context.remainingMs() * 0.8)
      if (waitMs > 0 && questions.take(context.peer)) {
        try {
          await until(() => topics.every((topic) => sees(context.peer, topic)), waitMs)
        } finally {
          questions.give(context.peer)
        }
      }
      options.onNeighbour(context.peer)
      const seen = topics.filter((topic) => sees(context.peer, topic))
      return {
        seen,
        hears: seen.filter((topic) => options.isSubscribed(topic)),
        own: options.ownHeads(context.peer, topics),
      }
    },
    async fetch({ from, to, ...series }, { peer }) {
      checkAsked(peer, 'fetch', 1)
      const { batches, more } = await options.history.find(series, { from, to })
      const goneTo = options.goneTo(series, { from, to })
      return { batches: [...batches], more, ...(goneTo === undefined ? {} : { goneTo }) }
    },
    heads: ({ heads }, { peer }) => options.receiveHeads(peer, heads),
    async catalog({ word, since }, { peer }) {
      checkAsked(peer, 'catalog', CATALOG_COST)
      return { held: await catalogForPeer(options.history, word, since) }
    },
  })
  const serving = serve.then(() => undefined)
  serving.catch((error: unknown) => port.log.error('the events protocol cannot be served', { error }))

  return {
    announce,
    settled(audience, timeoutMs) {
      if (audience.waiting.size === 0) return Promise.resolve()
      return new Promise((resolve) => {
        const finish = () => {
          audience.wake.delete(finish)
          cancel()
          resolve()
        }
        const cancel = port.timers.after(timeoutMs, finish)
        audience.wake.add(finish)
      })
    },
    serving,
    async stop() {
      stopped = true
      for (const stop of stops) stop()
      for (const look of [...checks]) look()
      const close = await serve.catch(() => undefined)
      await close?.()
    },
  }
}
