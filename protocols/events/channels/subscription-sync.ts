/**
 * Makes sure that neighbours and this node know of each other's gossip topics before anything is sent.
 *
 * Gossipsub tells subscriptions on its own stream, some milliseconds after a connection or a subscribe; what is published
 * before is lost without a word. So each node asks every neighbour, once per topic, "do you see that I am subscribed to
 * these?" (protocol `events`, method `sync`; event-requests.ts answers). The neighbour waits until it does, and answers
 * which of them it hears itself; the asker then waits until it sees that too. After that neither side can miss what the
 * other publishes. Every wait ends after `syncMs`; who did not answer is named.
 *
 * State: per topic the neighbours that were asked and those that answered; dropped when a neighbour leaves.
 */
import type { Member, Port, Stop } from '../../port.ts'
import { eventsProtocol, type OwnHead } from '../protocol.ts'

/** Calls to neighbours at one time. */
const MAX_CALLS = 16

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

export type SubscriptionSyncPort = Pick<Port, 'timers' | 'log' | 'gossip' | 'members' | 'onMember' | 'to'>

export interface SubscriptionSyncOptions {
  syncMs: number
  /** The gossip topics this node is subscribed to, right now. */
  syncedTopics(): Iterable<SyncedTopic>
  /** A neighbour's subscriptions changed. */
  onNeighbour(peer: string): void
  /** How far a neighbour is; undefined for one that does not tell. */
  learnHeads(peer: string, own: readonly OwnHead[] | undefined): void
}

export class SubscriptionSync {
  readonly #port: SubscriptionSyncPort
  readonly #options: SubscriptionSyncOptions
  // A member that left and came back is another object, so that an answer from before is not taken for one from now.
  readonly #members = new Map<string, Member>()
  /** Run whenever a neighbour's subscriptions change. */
  readonly #checks = new Set<() => void>()
  readonly #stops: readonly Stop[]
  #stopped = false

  constructor(port: SubscriptionSyncPort, options: SubscriptionSyncOptions) {
    this.#port = port
    this.#options = options
    this.#stops = [
      port.onMember((member, change) => {
        if (change === 'joined') this.#welcome({ ...member })
        else this.#forget(member.id)
        this.#runChecks()
      }),
      port.gossip.onSubscriptions((peer) => {
        options.onNeighbour(peer)
        this.#runChecks()
      }),
    ]
    for (const member of port.members()) this.#welcome({ ...member })
  }

  /** True where this node sees the neighbour subscribed to the topic. */
  sees(peer: string, topic: string): boolean {
    return this.#port.gossip.subscribers(topic).includes(peer)
  }

  /** Waits until `check` holds, looking again whenever a neighbour's subscriptions change. */
  until(check: () => boolean, timeoutMs: number): Promise<void> {
    if (this.#stopped || check()) return Promise.resolve()
    return new Promise((resolve) => {
      const finish = () => {
        this.#checks.delete(look)
        cancel()
        resolve()
      }
      const look = () => {
        if (this.#stopped || check()) finish()
      }
      const cancel = this.#port.timers.after(timeoutMs, finish)
      this.#checks.add(look)
    })
  }

  /**
   * Tells every neighbour that does not know yet of these topics. They are `waiting` before this returns; the promise is
   * for all the answers.
   */
  async announce(topics: readonly SyncedTopic[], to: Iterable<Member> = this.#members.values()): Promise<void> {
    const asks: { member: Member; news: SyncedTopic[] }[] = []
    for (const member of to) {
      const news = topics.filter(({ waiting, confirmed }) => !waiting.has(member.id) && !confirmed.has(member.id))
      for (const { waiting } of news) waiting.add(member.id)
      if (news.length > 0) asks.push({ member, news })
    }
    let index = 0
    const caller = async () => {
      for (let next = asks[index++]; next !== undefined; next = asks[index++]) await this.#ask(next.member, next.news)
    }
    await Promise.all(Array.from({ length: Math.min(MAX_CALLS, asks.length) }, caller))
  }

  /** Waits until nobody is being asked about the topic, or `timeoutMs`. */
  settled({ waiting, wake }: SyncedTopic, timeoutMs: number): Promise<void> {
    if (waiting.size === 0) return Promise.resolve()
    return new Promise((resolve) => {
      const finish = () => {
        wake.delete(finish)
        cancel()
        resolve()
      }
      const cancel = this.#port.timers.after(timeoutMs, finish)
      wake.add(finish)
    })
  }

  stop(): void {
    this.#stopped = true
    for (const stop of this.#stops) stop()
    this.#runChecks()
  }

  #runChecks(): void {
    for (const check of [...this.#checks]) check()
  }

  #welcome(member: Member): void {
    if (this.#members.has(member.id)) this.#forget(member.id)
    this.#members.set(member.id, member)
    void this.announce([...this.#options.syncedTopics()], [member])
  }

  #forget(peer: string): void {
    this.#members.delete(peer)
    for (const topic of this.#options.syncedTopics()) {
      topic.confirmed.delete(peer)
      this.#settle(topic, peer)
    }
  }

  /** The neighbour has answered about the topic, or will not. */
  #settle({ waiting, wake }: SyncedTopic, peer: string): void {
    if (!waiting.delete(peer) || waiting.size > 0) return
    for (const fn of [...wake]) fn()
  }

  /** Asks one neighbour about topics that are already marked as waiting for it. */
  async #ask(member: Member, asked: readonly SyncedTopic[]): Promise<void> {
    const peer = member.id
    const { syncMs, learnHeads } = this.#options
    const isHere = (): boolean => this.#members.get(peer) === member
    const settleAll = () => {
      if (isHere()) for (const topic of asked) this.#settle(topic, peer)
    }
    const cancel = this.#port.timers.after(syncMs, settleAll)
    try {
      const topics = asked.map(({ topic }) => topic)
      const { seen, hears, own } = await this.#port.to(peer, eventsProtocol).sync({ topics }, { timeoutMs: syncMs })
      const back = hears.filter((topic) => topics.includes(topic))
      await this.until(() => !isHere() || back.every((topic) => this.sees(peer, topic)), syncMs)
      if (!isHere()) return
      for (const { topic, confirmed } of asked) {
        if (seen.includes(topic) && (!back.includes(topic) || this.sees(peer, topic))) confirmed.add(peer)
      }
      learnHeads(peer, own)
    } catch (error) {
      if (isHere()) this.#port.log.warn('a neighbour did not answer about topics', { peer, error })
    } finally {
      cancel()
      settleAll()
    }
  }
}
