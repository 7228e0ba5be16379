/**
 * The receiving side of durable messages: sessions of senders, what may run, what is acknowledged when.
 *
 * AT_LEAST_ONCE is acknowledged when its handler returned (and when what it put or sent is durable), EXACTLY_ONCE when the
 * note that it was processed is durable together with what it did. A sender whose outbox took the place of another one is
 * told what was processed of that, and the other one is refused from then on.
 * State: the senders and their positions; of each what is held. Bounds: the window of each sender, the bytes held of all
 * (senders get a smaller window then), handlers at work.
 */
import { type Fault, ParleyError, toFault } from '../errors.ts'
import type { Port } from '../port.ts'
import { PRIORITIES } from '../wire/envelope.ts'
import { deliveryProtocol, type WirePositions } from './contract.ts'
import { type Answer, decodeMessages, encodeAnswer, type Failure, type WireEntry } from './frames.ts'
import { createIncoming, type Held, type Incoming } from './incoming.ts'
import { decodeMessage } from './message.ts'
import type { Settings } from './options.ts'
import { decodeSender, encodeSender, MAX_REPLACED, type Position } from './positions.ts'
import type { Processing, Work } from './processing.ts'
import { SENDERS } from './rows.ts'
import type { RowChange, RowStore } from './storage.ts'

export interface ReceivingDeps {
  readonly port: Pick<Port, 'self' | 'clock' | 'timers' | 'log' | 'to'>
  readonly store: RowStore
  readonly settings: Settings
  readonly processing: Processing
  /** What this node keeps is gone when it stops: EXACTLY_ONCE is refused. */
  readonly isVolatile: boolean
  count(what: ReceivingCount, by?: number): void
}

export type ReceivingCount =
  | 'received'
  | 'processed'
  | 'duplicates'
  | 'failed'
  | 'beyond'
  | 'forgotten'
  | 'refusedEpochs'
  | 'sendersForgotten'

export interface HelloRequest {
  readonly epoch: string
  readonly former: readonly string[]
  readonly session: number
  readonly isRenewing: boolean
  readonly bases: readonly { readonly lane: number; readonly base: number }[]
}

export interface HelloReply {
  window: number
  positions: WirePositions
  former?: { epoch: string; positions: WirePositions }
}

export interface Receiving {
  hello(peer: string, request: HelloRequest): Promise<HelloReply>
  messages(peer: string, frame: Uint8Array): void
  tick(): void
  held(): number
  heldBytes(): number
  /** Begins nothing new. @returns once nothing is at work, or after `timeoutMs` */
  drain(timeoutMs: number): Promise<void>
  stop(): void
}

interface Sender {
  readonly peer: string
  epoch: string
  replaced: readonly string[]
  /** What was processed of the outbox before, until the sender has used that. */
  former: { epoch: string; lanes: ReadonlyMap<number, Position> } | undefined
  heardAt: number
  session: number
  incoming: Incoming<Work>
  /** To be told at the end of this turn. */
  acked: Map<number, number[]>
  failed: Failure[]
  isAnswerDue: boolean
  /** Missing numbers are asked for again from then on; monotonic. */
  askAt: number
  window: number
  /** A greeting that waits for what runs. */
  idle: (() => void) | undefined
}

const HOLD_MS = 1_000
const ASK_AGAIN_MS = 1_000
const SETTLE_MS = 10_000
const PRUNE_MS = 60_000
/** Window of each sender while too much is held. */
const NARROW = 4

const wirePositions = (positions: ReadonlyMap<number, Position>): WirePositions =>
  [...positions].map(([lane, { upTo, done }]) => ({ lane, upTo, done: [...done] }))

const numbersOf = (byLane: ReadonlyMap<number, number[]>) =>
  [...byLane].map(([lane, sequences]) => ({ lane, sequences }))

export const openReceiving = async (deps: ReceivingDeps): Promise<Receiving> => {
  const { port, store, settings, processing } = deps
  const senders = new Map<string, Sender>()
  /** What may run, by priority. */
  const ready: { sender: Sender; held: Held<Work>; incoming: Incoming<Work> }[][] = [[], [], [], []]
  const memory = { bytes: 0 }
  let active = 0
  let isStopped = false
  let isDraining = false
  let whenIdle: (() => void) | undefined
  let heldToldAt = 0
  let prunedAt = 0

  const now = (): number => port.clock.monotonic()

  const rowOf =
    (sender: Sender): (() => Uint8Array) =>
    () =>
      encodeSender({
        epoch: sender.epoch,
        replaced: sender.replaced,
        heardAt: Math.floor(sender.heardAt),
        lanes: sender.incoming.live(),
        former: sender.former,
      })

  const change = (sender: Sender): RowChange => ({ key: SENDERS + sender.peer, value: rowOf(sender) })

  const answer = (sender: Sender, about: Partial<Omit<Answer, 'session'>>): void => {
    if (isStopped || sender.session === 0) return
    const frame = encodeAnswer({
      session: sender.session,
      acked: [],
      failed: [],
      held: [],
      missing: [],
      window: sender.window,
      greet: false,
      ...about,
    })
    // What gets lost with the connection, the next greeting tells.
    port
      .to(sender.peer, deliveryProtocol)
      .answers(frame)
      .catch((error: unknown) => port.log.info('an acknowledgement was not sent', { peer: sender.peer, error }))
  }

  const flush = (sender: Sender): void => {
    sender.isAnswerDue = false
    const { acked, failed } = sender
    if (acked.size === 0 && failed.length === 0) return
    sender.acked = new Map()
    sender.failed = []
    answer(sender, { acked: numbersOf(acked), failed })
  }

  const answerSoon = (sender: Sender): void => {
    if (sender.isAnswerDue) return
    sender.isAnswerDue = true
    queueMicrotask(() => flush(sender))
  }

  const ack = (sender: Sender, lane: number, sequence: number): void => {
    const known = sender.acked.get(lane)
    if (known === undefined) sender.acked.set(lane, [sequence])
    else known.push(sequence)
    answerSoon(sender)
  }

  const advance = (): void => {
    if (isDraining) return
    for (let rank = ready.length - 1; rank >= 0; rank -= 1) {
      const line = ready[rank]
      while (line !== undefined && line.length > 0 && active < settings.concurrency) {
        const next = line.shift()
        if (next !== undefined) void work(next.sender, next.incoming, next.held)
      }
    }
  }

  const ended = (sender: Sender, incoming: Incoming<Work>): void => {
    active -= 1
    if (incoming.running() === 0 && incoming === sender.incoming) sender.idle?.()
    if (active === 0) whenIdle?.()
    advance()
  }

  const work = async (sender: Sender, incoming: Incoming<Work>, held: Held<Work>): Promise<void> => {
    const { message: task } = held
    if (task === undefined || isStopped) return
    active += 1
    let durable: Promise<void> | undefined
    let drop: (() => void) | undefined
    const fault = await processing.run(task, ({ commit }) => {
      incoming.finished(held)
      if (commit === undefined) {
        store.later([change(sender)])
        return
      }
      drop = commit.drop
      durable = store.commit([...commit.changes, change(sender)]).then(commit.launch)
    })
    if (fault !== undefined) {
      deps.count('failed')
      incoming.failed(held)
      if (sender.incoming === incoming) {
        sender.failed.push({ lane: held.lane, sequence: held.sequence, fault })
        answerSoon(sender)
      }
      ended(sender, incoming)
      return
    }
    // The next one may run while this one becomes durable: both do, or neither.
    ended(sender, incoming)
    try {
      await durable
    } catch (error) {
      // The store tells of its failure, and everything is read anew; the message comes again.
      drop?.()
      port.log.info('what a message did could not be kept; it is processed again', { peer: sender.peer, error })
      return
    }
    deps.count('processed')
    incoming.settled(held)
    if (sender.incoming === incoming) ack(sender, held.lane, held.sequence)
  }

  const runnable = (sender: () => Sender) => (held: Held<Work>) => {
    const mine = sender()
    const rank = held.message === undefined ? 1 : PRIORITIES.indexOf(held.message.message.priority)
    ready[rank]?.push({ sender: mine, held, incoming: mine.incoming })
    if (active < settings.concurrency) queueMicrotask(advance)
  }

  const make = (
    peer: string,
    epoch: string,
    replaced: readonly string[],
    heardAt: number,
    positions?: ReadonlyMap<number, Position>,
  ): Sender => {
    const sender: Sender = {
      peer,
      epoch,
      replaced,
      heardAt,
      session: 0,
      incoming: createIncoming<Work>(
        runnable(() => sender),
        positions,
        memory,
      ),
      former: undefined,
      acked: new Map(),
      failed: [],
      isAnswerDue: false,
      askAt: 0,
      window: settings.window,
      idle: undefined,
    }
    senders.set(peer, sender)
    return sender
  }

  for await (const { key, value } of store.rows(SENDERS)) {
    const { epoch, replaced, heardAt, lanes, former } = decodeSender(value)
    make(key.slice(SENDERS.length), epoch, replaced, heardAt, lanes).former = former
  }

  /** Resolves when nothing of it runs; what waits is dropped, since it comes again. */
  const quiet = async (sender: Sender): Promise<void> => {
    sender.session = 0
    for (const held of sender.incoming.clear()) {
      for (const line of ready) {
        const at = line.findIndex((one) => one.held === held)
        if (at >= 0) line.splice(at, 1)
      }
    }
    if (sender.incoming.running() === 0) return
    await new Promise<void>((resolve, reject) => {
      const stop = port.timers.after(SETTLE_MS, () => {
        sender.idle = undefined
        reject(
          new ParleyError('COM003', 'messages of the former outbox are still at work', {
            hint: 'it is tried again by itself',
            details: { retryAfterMs: SETTLE_MS },
          }),
        )
      })
      sender.idle = () => {
        stop()
        sender.idle = undefined
        resolve()
      }
    })
  }

  /** The sender has another outbox than before. */
  const replace = async (sender: Sender, { epoch, former }: HelloRequest): Promise<void> => {
    const was = sender.epoch
    if (sender.replaced.includes(epoch)) {
      deps.count('refusedEpochs')
      throw new ParleyError('STA002', 'this outbox was replaced by a newer one of the same node', {
        hint: 'two nodes run with copies of one data directory, or an old copy was started: stop this one',
      })
    }
    await quiet(sender)
    sender.former = former.includes(was) ? { epoch: was, lanes: sender.incoming.positions() } : undefined
    sender.replaced = [...new Set([was, ...former.filter((id) => id !== epoch), ...sender.replaced])].slice(
      0,
      MAX_REPLACED,
    )
    sender.epoch = epoch
    sender.incoming = createIncoming<Work>(
      runnable(() => sender),
      undefined,
      memory,
    )
  }

  const makeRoom = (): void => {
    if (senders.size < settings.senders) return
    let oldest: Sender | undefined
    for (const sender of senders.values())
      if (sender.session === 0 && (oldest === undefined || sender.heardAt < oldest.heardAt)) oldest = sender
    if (oldest === undefined || oldest.heardAt > port.clock.now() - settings.senderKeepMs)
      throw new ParleyError('COM003', `this node remembers ${senders.size} senders, and can take no further one`, {
        hint: 'raise delivery.senders at the receiver',
        details: { retryAfterMs: 30_000 },
      })
    senders.delete(oldest.peer)
    store.later([{ key: SENDERS + oldest.peer, value: undefined }])
    deps.count('sendersForgotten')
  }

  const take = (sender: Sender, entry: WireEntry): void => {
    const { lane, sequence, message: bytes, ttlMs, attempt } = entry
    if (bytes === undefined) {
      if (sender.incoming.arrived(lane, sequence, undefined, undefined, 0) === 'duplicate') {
        store.later([change(sender)])
        ack(sender, lane, sequence)
      }
      return
    }
    let work: Work | undefined
    let fault: Fault | undefined
    try {
      // A copy: the frame that it came in is larger, and goes.
      const message = decodeMessage(new Uint8Array(bytes))
      if (deps.isVolatile && message.guarantee === 'EXACTLY_ONCE')
        throw new ParleyError('STA003', 'this node keeps nothing, so it cannot process a message exactly once', {
          hint: 'give the receiving node a dataDir, or send AT_LEAST_ONCE',
        })
      const expiresAt = ttlMs === 0 ? undefined : now() + ttlMs
      work = { message, source: sender.peer, attempt, expiresAt }
    } catch (error) {
      fault = toFault(error)
    }
    if (work === undefined) {
      sender.failed.push({ lane, sequence, fault: fault ?? { code: 'MSG003', message: 'the message cannot be read' } })
      answerSoon(sender)
      return
    }
    const arrival = sender.incoming.arrived(lane, sequence, work, work.message.conversationId, bytes.length)
    if (arrival === 'taken') deps.count('received')
    else if (arrival === 'beyond') deps.count('beyond')
    else {
      deps.count('duplicates')
      if (arrival === 'duplicate') ack(sender, lane, sequence)
    }
  }

  const ask = (sender: Sender): void => {
    if (now() < sender.askAt) return
    const missing = sender.incoming.missing()
    if (missing.length === 0) return
    sender.askAt = now() + ASK_AGAIN_MS
    answer(sender, { missing })
  }

  const narrow = (): void => {
    for (const sender of senders.values()) sender.window = memory.bytes > settings.heldBytes ? NARROW : settings.window
  }

  return {
    async hello(peer, request) {
      let sender = senders.get(peer)
      if (sender === undefined) {
        makeRoom()
        sender = make(peer, request.epoch, request.former.slice(0, MAX_REPLACED), port.clock.now())
      } else if (sender.epoch !== request.epoch) await replace(sender, request)
      if (!request.isRenewing) sender.former = undefined
      sender.heardAt = port.clock.now()
      sender.session = 0
      const bases = new Map(request.bases.map(({ lane, base }) => [lane, base]))
      const forgotten = sender.incoming.raise(bases)
      if (forgotten > 0) {
        deps.count('forgotten', forgotten)
        // After a crash as well, for what was AT_LEAST_ONCE and changed nothing here.
        port.log.info('a sender has acknowledgements of messages that this node does not remember', {
          peer,
          messages: forgotten,
        })
      }
      // What is told as processed is durable by then.
      const positions = wirePositions(sender.incoming.positions())
      await store.commit([change(sender)])
      sender.session = request.session
      const { former } = sender
      return {
        window: sender.window,
        positions,
        ...(former !== undefined && { former: { epoch: former.epoch, positions: wirePositions(former.lanes) } }),
      }
    },
    messages(peer, frame) {
      if (isStopped) return
      const { session, entries } = decodeMessages(frame)
      const sender = senders.get(peer)
      if (sender === undefined || sender.session !== session) {
        port
          .to(peer, deliveryProtocol)
          .answers(encodeAnswer({ session, acked: [], failed: [], held: [], missing: [], window: 0, greet: true }))
          .catch((error: unknown) => port.log.info('a sender was not asked to greet', { peer, error }))
        return
      }
      sender.heardAt = port.clock.now()
      for (const entry of entries) take(sender, entry)
      if (memory.bytes > settings.heldBytes) narrow()
      ask(sender)
    },
    tick() {
      const at = now()
      if (at - heldToldAt >= HOLD_MS) {
        heldToldAt = at
        narrow()
        for (const sender of senders.values()) {
          if (sender.session === 0) continue
          const held = sender.incoming.held()
          if (held.length > 0) answer(sender, { held, missing: sender.incoming.missing() })
        }
      }
      if (at - prunedAt >= PRUNE_MS) {
        prunedAt = at
        const oldest = port.clock.now() - settings.senderKeepMs
        for (const sender of [...senders.values()]) {
          if (sender.heardAt > oldest || sender.session !== 0) continue
          senders.delete(sender.peer)
          store.later([{ key: SENDERS + sender.peer, value: undefined }])
          deps.count('sendersForgotten')
        }
      }
    },
    held: () => [...senders.values()].reduce((sum, { incoming }) => sum + incoming.running(), 0) + ready.flat().length,
    heldBytes: () => memory.bytes,
    async drain(timeoutMs) {
      isDraining = true
      if (active === 0) return
      await new Promise<void>((resolve) => {
        const stop = port.timers.after(timeoutMs, resolve)
        whenIdle = () => {
          stop()
          resolve()
        }
      })
    },
    stop() {
      isStopped = true
    },
  }
}
