/**
 * The receiving side of durable messages: sessions of senders, what may run, what is acknowledged when.
 *
 * AT_LEAST_ONCE is acknowledged when its handler returned (and when what it put or sent is durable), EXACTLY_ONCE when the
 * note that it was processed is durable together with what it did. remote-senders.ts says which outbox of a sender counts.
 * State: of each sender what is held. Bounds: the window of each sender, the bytes held of all (senders get a smaller window
 * then), handlers at work.
 */
import { within } from '../../async.ts'
import { type Fault, ParleyError, toFault } from '../../errors.ts'
import type { Port } from '../../port.ts'
import { PRIORITIES } from '../../wire/envelope.ts'
import type { AckRanges } from '../ack-ranges.ts'
import type { WireAckRanges } from '../contract.ts'
import { decodeMessageFrame, type FrameEntry } from '../delivery-frames.ts'
import { type DurableMessage, decodeMessage } from '../durable-message.ts'
import type { ResolvedDeliveryOptions } from '../options.ts'
import type { RowStore } from '../store/row-storage.ts'
import type { HandlerRunner } from './handler-runner.ts'
import type { InboundMessage } from './inbound-message.ts'
import { type HeldMessage, ReceiveWindow } from './receive-window.ts'
import { type RemoteSender, requestHello, toWireAckRanges } from './remote-sender.ts'
import { type OutboxIdentity, RemoteSenders } from './remote-senders.ts'
import { createRunQueue, type RunQueue } from './run-queue.ts'

export interface MessageReceiverDeps {
  readonly port: Pick<Port, 'self' | 'clock' | 'timers' | 'log' | 'to' | 'members'>
  readonly store: RowStore
  readonly settings: ResolvedDeliveryOptions
  readonly runner: Pick<HandlerRunner, 'run'>
  /** What this node keeps is gone when it stops: EXACTLY_ONCE is refused. */
  readonly isVolatile: boolean
  count(what: ReceiverCounter, by?: number): void
}

export type ReceiverCounter =
  | 'received'
  | 'processed'
  | 'duplicates'
  | 'failed'
  | 'beyond'
  | 'forgotten'
  | 'refusedEpochs'
  | 'sendersForgotten'

export interface HelloRequest extends OutboxIdentity {
  readonly session: number
  readonly isRenewing: boolean
  readonly bases: readonly { readonly lane: number; readonly base: number }[]
}

export interface HelloReply {
  window: number
  positions: WireAckRanges
  former?: { epoch: string; positions: WireAckRanges }
}

const HOLD_MS = 1_000
const ASK_AGAIN_MS = 1_000
const PRUNE_MS = 60_000
/** Window of each sender while too much is held. */
const NARROW = 4

interface Runnable {
  readonly sender: RemoteSender
  /** The sender's, when the message came: it has another one once its outbox was replaced. */
  readonly window: ReceiveWindow<InboundMessage>
  readonly held: HeldMessage<InboundMessage>
}

export class MessageReceiver {
  readonly #deps: MessageReceiverDeps
  readonly #queue: RunQueue<Runnable>
  /** Over all senders. */
  readonly #memory = { bytes: 0 }
  readonly #senders: RemoteSenders
  #isStopped = false
  #isRefusalLogged = false
  #heldToldAt = 0
  #prunedAt = 0

  /** @throws what the store throws */
  static async open(deps: MessageReceiverDeps): Promise<MessageReceiver> {
    const receiver = new MessageReceiver(deps)
    await receiver.#senders.load()
    return receiver
  }

  private constructor(deps: MessageReceiverDeps) {
    const { port, store, settings, count } = deps
    this.#deps = deps
    this.#queue = createRunQueue<Runnable>(settings.concurrency, (runnable) => void this.#work(runnable))
    this.#senders = new RemoteSenders({
      port,
      store,
      settings,
      count,
      createWindow: (sender, positions) => this.#createWindow(sender, positions),
      dropped: (gone) => this.#queue.drop(({ held }) => gone.has(held)),
    })
  }

  #now(): number {
    return this.#deps.port.clock.monotonic()
  }

  #createWindow(sender: () => RemoteSender, positions?: ReadonlyMap<number, AckRanges>): ReceiveWindow<InboundMessage> {
    const window: ReceiveWindow<InboundMessage> = new ReceiveWindow<InboundMessage>(
      (held) => {
        const rank = held.message === undefined ? 1 : PRIORITIES.indexOf(held.message.message.priority)
        this.#queue.put({ sender: sender(), window, held }, rank)
      },
      positions,
      this.#memory,
    )
    return window
  }

  async #work(runnable: Runnable): Promise<void> {
    const { sender, window, held } = runnable
    const { runner, store, count, port } = this.#deps
    const task = held.message
    if (task === undefined || this.#isStopped) {
      this.#queue.ended()
      return
    }
    let durable: Promise<void> | undefined
    let drop: (() => void) | undefined
    const fault = await runner.run(task, ({ commit }) => {
      window.finished(held)
      if (commit === undefined) {
        store.later([sender.change()])
        return
      }
      drop = commit.drop
      durable = store.commit([...commit.changes, sender.change()]).then(commit.launch)
    })
    if (fault !== undefined) this.#failed(runnable, fault)
    // The next one may run while this one becomes durable: both do, or neither.
    this.#ended(runnable)
    if (fault !== undefined) return
    try {
      await durable
    } catch (error) {
      // The store tells of its failure, and everything is read anew; the message comes again.
      drop?.()
      port.log.info('what a message did could not be kept; it is processed again', {
        source: sender.peer,
        correlationId: task.message.id,
        messageType: task.message.type,
        error,
      })
      return
    }
    count('processed')
    window.settled(held)
    if (sender.window === window && !this.#isStopped) sender.ack(held.lane, held.sequence)
  }

  #failed({ sender, window, held }: Runnable, fault: Fault): void {
    this.#deps.count('failed')
    window.failed(held)
    if (sender.window === window) sender.fail({ lane: held.lane, sequence: held.sequence, fault })
  }

  #ended({ sender, window }: Runnable): void {
    this.#queue.ended()
    if (window.running() === 0 && window === sender.window) sender.onIdle?.()
  }

  /** @param signal aborted once the sender does not wait for it any more */
  async hello(peer: string, request: HelloRequest, signal?: AbortSignal): Promise<HelloReply> {
    const { port, store } = this.#deps
    const { epoch, session, isRenewing, bases } = request
    let sender = this.#senders.get(peer)
    if (sender === undefined) sender = this.#senders.add(peer, request)
    else if (sender.epoch !== epoch) await this.#senders.replace(sender, request, signal)
    if (!isRenewing) sender.former = undefined
    sender.lastSeenAt = port.clock.now()
    sender.session = 0
    this.#raiseBases(sender, new Map(bases.map(({ lane, base }) => [lane, base])))
    // What is told as processed is durable by then.
    const positions = toWireAckRanges(sender.window.ackRanges())
    const before = sender.former
    await store.commit([sender.change()])
    sender.session = session
    return {
      window: sender.windowSize,
      positions,
      ...(before !== undefined && { former: { epoch: before.epoch, positions: toWireAckRanges(before.lanes) } }),
    }
  }

  #raiseBases(sender: RemoteSender, bases: ReadonlyMap<number, number>): void {
    const forgotten = sender.window.raiseBases(bases)
    if (forgotten === 0) return
    this.#deps.count('forgotten', forgotten)
    // After a crash as well, for what was AT_LEAST_ONCE and changed nothing here.
    this.#deps.port.log.info('a sender has acknowledgements of messages that this node does not remember', {
      source: sender.peer,
      messages: forgotten,
    })
  }

  messages(peer: string, frame: Uint8Array): void {
    if (this.#isStopped) return
    const { session, entries } = decodeMessageFrame(frame)
    const sender = this.#senders.get(peer)
    if (sender === undefined || sender.session !== session) {
      requestHello(this.#deps.port, peer, session)
      return
    }
    sender.lastSeenAt = this.#deps.port.clock.now()
    for (const entry of entries) this.#take(sender, entry)
    if (this.#memory.bytes > this.#deps.settings.heldBytes) this.#setWindows()
    this.#askForMissing(sender)
  }

  #take(sender: RemoteSender, entry: FrameEntry): void {
    const { store, count } = this.#deps
    const { lane, sequence, message: bytes } = entry
    if (bytes === undefined) {
      if (sender.window.arrived(lane, sequence, undefined, undefined, 0) !== 'duplicate') return
      store.later([sender.change()])
      sender.ack(lane, sequence)
      return
    }
    let work: InboundMessage
    try {
      work = this.#read(bytes, sender.peer, entry)
    } catch (error) {
      sender.fail({ lane, sequence, fault: toFault(error) })
      return
    }
    const arrival = sender.window.arrived(lane, sequence, work, work.message.conversationId, bytes.length)
    if (arrival === 'taken') count('received')
    else if (arrival === 'beyond') count('beyond')
    else {
      count('duplicates')
      if (arrival === 'duplicate') sender.ack(lane, sequence)
    }
  }

  /** @throws MSG003, STA003 */
  #read(bytes: Uint8Array, source: string, { ttlMs, attempt }: FrameEntry): InboundMessage {
    // A copy: the frame that it came in is larger, and goes.
    const message = decodeMessage(new Uint8Array(bytes))
    if (this.#deps.isVolatile && message.guarantee === 'EXACTLY_ONCE') throw this.#refusal(message, source)
    const receivedAt = this.#now()
    return { message, source, attempt, receivedAt, expiresAt: ttlMs === 0 ? undefined : receivedAt + ttlMs }
  }

  /** Logged here once: each sender is told of each message. */
  #refusal({ type, id }: DurableMessage, source: string): ParleyError {
    if (!this.#isRefusalLogged)
      this.#deps.port.log.warn(
        'messages EXACTLY_ONCE are refused: this node has no data directory; give it a dataDir',
        { source, correlationId: id, messageType: type },
      )
    this.#isRefusalLogged = true
    return new ParleyError('STA003', 'the receiver has no data directory, so it processes no message exactly once', {
      hint: 'give the receiver a dataDir, or send AT_LEAST_ONCE',
      details: { reason: 'volatile' },
    })
  }

  #askForMissing(sender: RemoteSender): void {
    const nowMs = this.#now()
    if (nowMs < sender.askAgainAt) return
    const missing = sender.window.missing()
    if (missing.length === 0) return
    sender.askAgainAt = nowMs + ASK_AGAIN_MS
    sender.answer({ missing })
  }

  #setWindows(): void {
    const { settings } = this.#deps
    const size = this.#memory.bytes > settings.heldBytes ? NARROW : settings.window
    for (const sender of this.#senders.all()) sender.windowSize = size
  }

  #sendHeld(): void {
    for (const sender of this.#senders.all()) {
      if (sender.session === 0) continue
      const held = sender.window.held()
      if (held.length > 0) sender.answer({ held, missing: sender.window.missing() })
    }
  }

  /** Senders that are connected are asked to greet: they were refused, and would do so later. */
  requestHellos(): void {
    const { port } = this.#deps
    for (const { id } of port.members()) if (this.#senders.get(id) !== undefined) requestHello(port, id, 0)
  }

  tick(): void {
    const nowMs = this.#now()
    if (nowMs - this.#heldToldAt >= HOLD_MS) {
      this.#heldToldAt = nowMs
      this.#setWindows()
      this.#sendHeld()
    }
    if (nowMs - this.#prunedAt < PRUNE_MS) return
    this.#prunedAt = nowMs
    this.#senders.prune()
  }

  /** Messages at work or ready for it. */
  held(): number {
    return this.#queue.active() + this.#queue.waiting()
  }

  heldBytes(): number {
    return this.#memory.bytes
  }

  /** That are remembered. */
  senders(): number {
    return this.#senders.size()
  }

  /** Begins nothing new. @returns once nothing is at work, or after `timeoutMs` */
  async drain(timeoutMs: number): Promise<void> {
    await within(this.#deps.port.timers, timeoutMs, this.#queue.drain())
  }

  stop(): void {
    this.#isStopped = true
    for (const sender of this.#senders.all()) sender.session = 0
  }
}
