/**
 * The receiving side of durable messages: sessions of senders, what may run, what is acknowledged when.
 *
 * AT_LEAST_ONCE is acknowledged when its handler returned (and when what it put or sent is durable), EXACTLY_ONCE when the
 * note that it was processed is durable together with what it did. A sender whose outbox took the place of another one is
 * told what was processed of that, and the other one is refused from then on.
 * State: the senders and their positions; of each what is held. Bounds: the window of each sender, the bytes held of all
 * (senders get a smaller window then), handlers at work.
 */
import { ParleyError, toFault } from '../../errors.ts'
import type { Port } from '../../port.ts'
import { PRIORITIES } from '../../wire/envelope.ts'
import { type AckRanges, MAX_REPLACED } from '../ack-ranges.ts'
import type { WireAckRanges } from '../contract.ts'
import { decodeMessageFrame, type FrameEntry } from '../delivery-frames.ts'
import { type DurableMessage, decodeMessage } from '../durable-message.ts'
import type { ResolvedDeliveryOptions } from '../options.ts'
import { decodeSender, SENDERS, type SenderRow } from '../store/delivery-rows.ts'
import type { RowStore } from '../store/row-storage.ts'
import type { HandlerRunner } from './handler-runner.ts'
import type { InboundMessage } from './inbound-message.ts'
import { createReceiveWindow, type HeldMessage, type ReceiveWindow } from './receive-window.ts'
import { createRemoteSender, type RemoteSender, requestHello, toWireAckRanges } from './remote-sender.ts'
import { createRunQueue } from './run-queue.ts'

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

export interface HelloRequest {
  readonly epoch: string
  readonly former: readonly string[]
  readonly session: number
  readonly isRenewing: boolean
  readonly bases: readonly { readonly lane: number; readonly base: number }[]
}

export interface HelloReply {
  window: number
  positions: WireAckRanges
  former?: { epoch: string; positions: WireAckRanges }
}

export interface MessageReceiver {
  /** @param signal aborted once the sender does not wait for it any more */
  hello(peer: string, request: HelloRequest, signal?: AbortSignal): Promise<HelloReply>
  messages(peer: string, frame: Uint8Array): void
  /** Senders that are there are asked to greet: they were refused, and would do so later. */
  requestHellos(): void
  tick(): void
  /** Messages at work or ready for it. */
  held(): number
  heldBytes(): number
  /** That are remembered. */
  senders(): number
  /** Begins nothing new. @returns once nothing is at work, or after `timeoutMs` */
  drain(timeoutMs: number): Promise<void>
  stop(): void
}

const HOLD_MS = 1_000
const ASK_AGAIN_MS = 1_000
const SETTLE_MS = 10_000
const PRUNE_MS = 60_000
/** Window of each sender while too much is held. */
const NARROW = 4

interface Runnable {
  readonly sender: RemoteSender
  readonly incoming: ReceiveWindow<InboundMessage>
  readonly held: HeldMessage<InboundMessage>
}

export const openMessageReceiver = async (deps: MessageReceiverDeps): Promise<MessageReceiver> => {
  const { port, store, settings, runner } = deps
  const senders = new Map<string, RemoteSender>()
  const memory = { bytes: 0 }
  let isStopped = false
  let isRefusalTold = false
  let heldToldAt = 0
  let prunedAt = 0

  const now = (): number => port.clock.monotonic()

  const failed = ({ sender, incoming, held }: Runnable, fault: ReturnType<typeof toFault>): void => {
    deps.count('failed')
    incoming.failed(held)
    if (sender.incoming === incoming) sender.fail({ lane: held.lane, sequence: held.sequence, fault })
  }

  const ended = ({ sender, incoming }: Runnable): void => {
    queue.ended()
    if (incoming.running() === 0 && incoming === sender.incoming) sender.onIdle?.()
  }

  const work = async (runnable: Runnable): Promise<void> => {
    const { sender, incoming, held } = runnable
    const task = held.message
    if (task === undefined || isStopped) {
      queue.ended()
      return
    }
    let durable: Promise<void> | undefined
    let drop: (() => void) | undefined
    const fault = await runner.run(task, ({ commit }) => {
      incoming.finished(held)
      if (commit === undefined) {
        store.later([sender.change()])
        return
      }
      drop = commit.drop
      durable = store.commit([...commit.changes, sender.change()]).then(commit.launch)
    })
    if (fault !== undefined) failed(runnable, fault)
    // The next one may run while this one becomes durable: both do, or neither.
    ended(runnable)
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
    deps.count('processed')
    incoming.settled(held)
    if (sender.incoming === incoming && !isStopped) sender.ack(held.lane, held.sequence)
  }

  const queue = createRunQueue<Runnable>(settings.concurrency, (runnable) => void work(runnable))

  const incomingOf = (
    sender: () => RemoteSender,
    positions?: ReadonlyMap<number, AckRanges>,
  ): ReceiveWindow<InboundMessage> => {
    const incoming = createReceiveWindow<InboundMessage>(
      (held) => {
        const rank = held.message === undefined ? 1 : PRIORITIES.indexOf(held.message.message.priority)
        queue.put({ sender: sender(), incoming, held }, rank)
      },
      positions,
      memory,
    )
    return incoming
  }

  const add = (peer: string, row: SenderRow): RemoteSender => {
    const { epoch, replaced, former, lastSeenAt, lanes } = row
    const about = { peer, epoch, replaced, former, lastSeenAt, window: settings.window }
    const sender = createRemoteSender(port, about, (mine) => incomingOf(mine, lanes))
    senders.set(peer, sender)
    return sender
  }

  for await (const { key, value } of store.rows(SENDERS)) add(key.slice(SENDERS.length), decodeSender(value))

  /** Resolves when nothing of it runs; what waits is dropped, since it comes again. */
  const quiet = async (sender: RemoteSender): Promise<void> => {
    sender.session = 0
    const gone = new Set(sender.incoming.clear())
    queue.drop(({ held }) => gone.has(held))
    if (sender.incoming.running() === 0) return
    await new Promise<void>((resolve, reject) => {
      const stop = port.timers.after(SETTLE_MS, () => {
        sender.onIdle = undefined
        reject(
          new ParleyError('COM003', 'messages of the former outbox are still at work', {
            hint: 'it is tried again by itself',
            details: { retryAfterMs: SETTLE_MS },
          }),
        )
      })
      sender.onIdle = () => {
        stop()
        sender.onIdle = undefined
        resolve()
      }
    })
  }

  /** The sender has another outbox than before. */
  const replace = async (
    sender: RemoteSender,
    { epoch, former }: HelloRequest,
    signal?: AbortSignal,
  ): Promise<void> => {
    const was = sender.epoch
    if (sender.replaced.includes(epoch)) {
      deps.count('refusedEpochs')
      throw new ParleyError('STA002', 'this outbox was replaced by a newer one of the same node', {
        hint: 'two nodes run with copies of one data directory, or an old copy was started: stop this one',
      })
    }
    // Of a process that is gone: its next one may have greeted before, with an outbox that is not to be replaced by this one.
    signal?.throwIfAborted()
    await quiet(sender)
    signal?.throwIfAborted()
    if (sender.epoch !== was)
      throw new ParleyError('COM003', 'another outbox of this sender greeted meanwhile', {
        hint: 'it is tried again by itself',
        details: { retryAfterMs: 1_000 },
      })
    // Also where the new one does not know of it: a copy that is older than that was started.
    sender.former = { epoch: was, lanes: sender.incoming.ackRanges() }
    const others = former.filter((id) => id !== epoch)
    sender.replaced = [...new Set([was, ...others, ...sender.replaced])].slice(0, MAX_REPLACED)
    sender.epoch = epoch
    sender.incoming = incomingOf(() => sender)
  }

  const forget = (sender: RemoteSender): void => {
    senders.delete(sender.peer)
    store.later([{ key: SENDERS + sender.peer, value: undefined }])
    deps.count('sendersForgotten')
  }

  const isOld = ({ session, lastSeenAt }: RemoteSender): boolean =>
    session === 0 && lastSeenAt <= port.clock.now() - settings.senderKeepMs

  const makeRoom = (): void => {
    if (senders.size < settings.senders) return
    let oldest: RemoteSender | undefined
    for (const sender of senders.values())
      if (isOld(sender) && (oldest === undefined || sender.lastSeenAt < oldest.lastSeenAt)) oldest = sender
    if (oldest === undefined)
      throw new ParleyError('COM003', `this node remembers ${senders.size} senders, and can take no further one`, {
        hint: 'raise delivery.senders at the receiver',
        details: { retryAfterMs: 30_000 },
      })
    forget(oldest)
  }

  /** Told here once: each sender is told of each message. */
  const refusedOnce = ({ type, id }: DurableMessage, source: string): ParleyError => {
    if (!isRefusalTold)
      port.log.warn('messages EXACTLY_ONCE are refused: this node has no data directory; give it a dataDir', {
        source,
        correlationId: id,
        messageType: type,
      })
    isRefusalTold = true
    return new ParleyError('STA003', 'the receiver has no data directory, so it processes no message exactly once', {
      hint: 'give the receiver a dataDir, or send AT_LEAST_ONCE',
      details: { reason: 'volatile' },
    })
  }

  /** @throws MSG003, STA003 */
  const read = (bytes: Uint8Array, source: string, { ttlMs, attempt }: FrameEntry): InboundMessage => {
    // A copy: the frame that it came in is larger, and goes.
    const message = decodeMessage(new Uint8Array(bytes))
    if (deps.isVolatile && message.guarantee === 'EXACTLY_ONCE') throw refusedOnce(message, source)
    return { message, source, attempt, expiresAt: ttlMs === 0 ? undefined : now() + ttlMs }
  }

  const take = (sender: RemoteSender, entry: FrameEntry): void => {
    const { lane, sequence, message: bytes } = entry
    if (bytes === undefined) {
      if (sender.incoming.arrived(lane, sequence, undefined, undefined, 0) !== 'duplicate') return
      store.later([sender.change()])
      sender.ack(lane, sequence)
      return
    }
    let work: InboundMessage
    try {
      work = read(bytes, sender.peer, entry)
    } catch (error) {
      sender.fail({ lane, sequence, fault: toFault(error) })
      return
    }
    const arrival = sender.incoming.arrived(lane, sequence, work, work.message.conversationId, bytes.length)
    if (arrival === 'taken') deps.count('received')
    else if (arrival === 'beyond') deps.count('beyond')
    else {
      deps.count('duplicates')
      if (arrival === 'duplicate') sender.ack(lane, sequence)
    }
  }

  const ask = (sender: RemoteSender): void => {
    if (now() < sender.askAt) return
    const missing = sender.incoming.missing()
    if (missing.length === 0) return
    sender.askAt = now() + ASK_AGAIN_MS
    sender.answer({ missing })
  }

  const setWindows = (): void => {
    for (const sender of senders.values()) sender.window = memory.bytes > settings.heldBytes ? NARROW : settings.window
  }

  const tellHeld = (): void => {
    for (const sender of senders.values()) {
      if (sender.session === 0) continue
      const held = sender.incoming.held()
      if (held.length > 0) sender.answer({ held, missing: sender.incoming.missing() })
    }
  }

  return {
    async hello(peer, request, signal) {
      const { epoch, former, session, isRenewing, bases } = request
      let sender = senders.get(peer)
      if (sender === undefined) {
        makeRoom()
        const replaced = former.slice(0, MAX_REPLACED)
        sender = add(peer, { epoch, replaced, lastSeenAt: port.clock.now(), lanes: new Map(), former: undefined })
      } else if (sender.epoch !== epoch) await replace(sender, request, signal)
      if (!isRenewing) sender.former = undefined
      sender.lastSeenAt = port.clock.now()
      sender.session = 0
      const forgotten = sender.incoming.raiseBases(new Map(bases.map(({ lane, base }) => [lane, base])))
      if (forgotten > 0) {
        deps.count('forgotten', forgotten)
        // After a crash as well, for what was AT_LEAST_ONCE and changed nothing here.
        port.log.info('a sender has acknowledgements of messages that this node does not remember', {
          source: peer,
          messages: forgotten,
        })
      }
      // What is told as processed is durable by then.
      const positions = toWireAckRanges(sender.incoming.ackRanges())
      const before = sender.former
      await store.commit([sender.change()])
      sender.session = session
      return {
        window: sender.window,
        positions,
        ...(before !== undefined && { former: { epoch: before.epoch, positions: toWireAckRanges(before.lanes) } }),
      }
    },
    messages(peer, frame) {
      if (isStopped) return
      const { session, entries } = decodeMessageFrame(frame)
      const sender = senders.get(peer)
      if (sender === undefined || sender.session !== session) {
        requestHello(port, peer, session)
        return
      }
      sender.lastSeenAt = port.clock.now()
      for (const entry of entries) take(sender, entry)
      if (memory.bytes > settings.heldBytes) setWindows()
      ask(sender)
    },
    requestHellos() {
      for (const { id } of port.members()) if (senders.has(id)) requestHello(port, id, 0)
    },
    tick() {
      if (now() - heldToldAt >= HOLD_MS) {
        heldToldAt = now()
        setWindows()
        tellHeld()
      }
      if (now() - prunedAt < PRUNE_MS) return
      prunedAt = now()
      for (const sender of [...senders.values()]) if (isOld(sender)) forget(sender)
    },
    held: () => queue.active() + queue.waiting(),
    heldBytes: () => memory.bytes,
    senders: () => senders.size,
    async drain(timeoutMs) {
      let stop = (): void => {}
      const timeout = new Promise<void>((resolve) => {
        stop = port.timers.after(timeoutMs, resolve)
      })
      await Promise.race([queue.drain(), timeout])
      stop()
    },
    stop() {
      isStopped = true
      for (const sender of senders.values()) sender.session = 0
    },
  }
}
