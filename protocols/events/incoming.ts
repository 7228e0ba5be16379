/**
 * The way in of all words, put together: inlets, the order in which batches are let in, what is missing and who has it, how
 * far publishers are, and who is told: the dispatch and the subscriptions that read.
 *
 * State: when publishers were heard last, and what was given up last, for those that ask for it.
 */
import type { Port, Stop } from '../port.ts'
import { signingPrefix } from './batch.ts'
import type { Circle } from './circle.ts'
import type { Counters } from './counters.ts'
import type { Dispatch } from './dispatch.ts'
import { createHeads, type Heads } from './heads.ts'
import type { History } from './history.ts'
import { createChecking, createInlet, createProver, type Inlet, open } from './inlet.ts'
import type { Settings } from './options.ts'
import { createOrder, type Order } from './order.ts'
import { type OwnHead, signedHead } from './protocol.ts'
import { rangeOf } from './read-batch.ts'
import type { Readers } from './readers.ts'
import { createRepair } from './repair.ts'
import { createRetrieve, type Proven, type Retrieve, type RetrievePort } from './retrieve.ts'
import type { Range, Series } from './series.ts'

/** Batches that are on their way are not missing yet, when their publisher says how far it is. */
const HEAD_DELAY_MS = 100
/** Only what was said shortly before its publisher left may not have come. */
const TAIL_MS = 15_000
/** Ranges that were given up, for those that ask for them. */
const MAX_LOSSES = 256
/** Clocks of publishers are believed to be no further apart, where it is asked how old an event is. */
const MAX_SKEW_MS = 3_600_000
const ROOM_EVERY_MS = 20
const ROOM_LIMIT_MS = 2_000

export type IncomingPort = RetrievePort & Pick<Port, 'sign' | 'verify'>

export interface Incoming {
  readonly retrieve: Retrieve
  readonly heads: Heads
  readonly order: Pick<Order<Proven>, 'position' | 'publishers' | 'pause' | 'waitingBytes'>
  /** Hears a word. */
  listen(name: string, topic: string): { inlet: Inlet; unsubscribe: Stop }
  /** A neighbour told how far it is with what it publishes; undefined: it does not tell. */
  learn(publisher: string, own: readonly OwnHead[] | undefined): void
  /** Up to where what this node does not have of these is gone for good. */
  goneTo(series: Series, range: Range): number | undefined
  stop(): void
}

export const createIncoming = (
  port: IncomingPort,
  settings: Settings,
  dispatch: Dispatch,
  counters: Counters,
  history: History,
  readers: Readers,
  circle: Circle,
  words: { topicOf(name: string): string; hears(name: string): boolean; inletOf(name: string): Inlet | undefined },
): Incoming => {
  const order = createOrder<Proven>(settings)
  const prefix = signingPrefix(port.self.mesh)
  const checking = createChecking(settings.maxPublishers)
  /** The one heard longest ago first. */
  const heardAt = new Map<string, number>()
  const losses: (Series & Range)[] = []

  /**
   * With its age, as its giver says and as its publisher signed: nothing outlives the bounds by being handed on, and what is
   * old does not take the place of what is new.
   */
  const keep = ({ batch, bytes, arrivedAt }: Proven): void => {
    const { publisher, word, epoch, sentAt } = batch
    const ageMs = Math.max(0, port.clock.monotonic() - arrivedAt, port.clock.now() - sentAt - MAX_SKEW_MS)
    history.keep({ publisher, word, epoch }, rangeOf(batch), bytes, sentAt, ageMs)
  }

  const retrieve = createRetrieve(port, history, settings, {
    keep,
    prove: createProver(port, prefix, settings, checking, counters.refused),
    open(bytes, ageMs) {
      const batch = open(bytes)
      return batch === undefined ? undefined : { batch, bytes, arrivedAt: port.clock.monotonic() - ageMs }
    },
    topicOf: words.topicOf,
  })

  /** What was given up lately and holds number `at`. */
  const lossAt = ({ publisher, word, epoch }: Series, at: number): Range | undefined =>
    losses.find(
      (loss) =>
        loss.publisher === publisher && loss.word === word && loss.epoch === epoch && loss.from <= at && at <= loss.to,
    )

  /** Resolves when no subscription is far behind, or after ROOM_LIMIT_MS. */
  const room = async (word: string): Promise<void> => {
    for (let waitedMs = 0; waitedMs < ROOM_LIMIT_MS && !dispatch.hasRoom(word); waitedMs += ROOM_EVERY_MS) {
      await new Promise<void>((resolve) => port.timers.after(ROOM_EVERY_MS, resolve))
    }
  }

  const repair = createRepair(port, order, retrieve, {
    take(proven, fetched) {
      const { from, to } = rangeOf(proven.batch)
      const acceptance = words.inletOf(proven.batch.word)?.take(proven)
      if (fetched && acceptance === 'keep') counters.repaired(to - from + 1)
    },
    lost(series, range) {
      losses.push({ ...series, ...range })
      if (losses.length > MAX_LOSSES) losses.shift()
      counters.missed(series.word, range.to - range.from + 1)
      dispatch.missed({ ...series, ...range, reason: 'gap' })
      for (const reader of readers.of(series.word)) reader.lost(series, range)
      words.inletOf(series.word)?.release(order.giveUp(series, range))
    },
    ended: (series) => words.inletOf(series.word)?.release(order.nextLife(series)),
    room,
    wanted: (name) => words.hears(name) && dispatch.wanted(name),
  })

  const heads = createHeads(port, circle, (head) => signedHead(port.self.mesh, head), {
    heard({ publisher, word, epoch, last }) {
      if (order.head({ publisher, word, epoch }, last, port.clock.monotonic()))
        repair.look(publisher, word, HEAD_DELAY_MS)
    },
    topicOf: words.topicOf,
    hears: words.hears,
  })

  const stopWatching = port.onMember(({ id }, change) => {
    if (change === 'joined') {
      for (const reader of readers.all()) reader.joined(id)
      return
    }
    heads.forget(id)
    if ((heardAt.get(id) ?? Number.NEGATIVE_INFINITY) > port.clock.monotonic() - TAIL_MS) repair.askForTails(id)
  })

  const heard = (publisher: string): void => {
    const [oldest] = heardAt.size >= settings.maxPublishers && !heardAt.has(publisher) ? heardAt.keys() : []
    if (oldest !== undefined) heardAt.delete(oldest)
    heardAt.set(publisher, port.clock.monotonic())
  }

  return {
    retrieve,
    heads,
    order,
    listen(name, topic) {
      const inlet = createInlet(port, name, prefix, settings, checking, order, {
        refused: counters.refused,
        incomplete: (publisher) => repair.look(publisher, name, 0),
        unkept: counters.unkept,
        wanted: () => dispatch.wanted(name),
        event: dispatch.remote,
        malformed: () => counters.dropped('malformed'),
        batch(proven) {
          counters.received(proven.batch)
          if (readers.has(name)) for (const reader of readers.of(name)) reader.offer(proven)
        },
        heard(batch, bytes, fetched) {
          const { publisher, epoch, sentAt } = batch
          if (!fetched) history.keep({ publisher, word: name, epoch }, rangeOf(batch), bytes, sentAt)
          heard(publisher)
        },
        isLost: ({ publisher, epoch, first }) => lossAt({ publisher, word: name, epoch }, first) !== undefined,
        // Nobody is told of it here any more; others may ask for it.
        late(batch, bytes) {
          const { publisher, epoch, sentAt } = batch
          history.keep({ publisher, word: name, epoch }, rangeOf(batch), bytes, sentAt)
        },
        complete: ({ publisher, circle: named }) => named !== undefined && circle.isComplete(topic, publisher, named),
      })
      // What was accepted is let in at once: what is accepted next may have waited for it.
      return { inlet, unsubscribe: port.gossip.subscribe(topic, inlet.accept, () => undefined) }
    },
    learn(publisher, own) {
      heads.speaks(publisher, own !== undefined)
      if (own === undefined) {
        repair.askForTails(publisher)
        return
      }
      repair.knowTails(publisher)
      for (const { word, epoch, last, since } of own) {
        if (!words.hears(word)) continue
        order.base({ publisher, word, epoch }, since + 1)
        for (const reader of readers.of(word)) reader.look(publisher, word)
        if (order.head({ publisher, word, epoch }, last, port.clock.monotonic()))
          repair.look(publisher, word, HEAD_DELAY_MS)
      }
    },
    goneTo: (series, { from, to }) => (series.publisher === port.self.id ? to : lossAt(series, from)?.to),
    stop() {
      stopWatching()
      heads.stop()
      retrieve.stop()
      repair.stop()
    },
  }
}
