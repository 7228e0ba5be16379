/**
 * One sender at its receiver: its outbox, its session, what is held of it, and what it is told at the end of a turn.
 *
 * State: as its row (`i/<peer>`), and softly the session and the answers that gather.
 */
import type { Port } from '../../port.ts'
import type { AckRanges } from '../ack-ranges.ts'
import { deliveryProtocol, type WireAckRanges } from '../contract.ts'
import { type AckFrame, encodeAckFrame, type MessageFailure } from '../delivery-frames.ts'
import { encodeSender, SENDERS } from '../store/delivery-rows.ts'
import type { RowChange } from '../store/row-storage.ts'
import type { InboundMessage } from './inbound-message.ts'
import type { ReceiveWindow } from './receive-window.ts'

export interface RemoteSender {
  readonly peer: string
  /** Id of its outbox. */
  epoch: string
  /** Outboxes that this one took the place of, newest first. */
  replaced: readonly string[]
  /** What was processed of the outbox before, until the sender has used that. */
  former: { readonly epoch: string; readonly lanes: ReadonlyMap<number, AckRanges> } | undefined
  /** Milliseconds since 1970 by this node's clock. */
  lastSeenAt: number
  /** 0: it has to greet first. */
  session: number
  /** What is held of it. */
  window: ReceiveWindow<InboundMessage>
  /** Messages that may be unacknowledged. */
  windowSize: number
  /** Missing numbers are asked for again from then on; monotonic. */
  askAgainAt: number
  /** A greeting that waits for what runs. */
  onIdle: (() => void) | undefined
  ack(lane: number, sequence: number): void
  fail(failure: MessageFailure): void
  /** At once. What gets lost with the connection, the next greeting tells. */
  answer(about: Partial<Omit<AckFrame, 'session'>>): void
  /** Its row, as it is when it is written. */
  change(): RowChange
}

export const toWireAckRanges = (positions: ReadonlyMap<number, AckRanges>): WireAckRanges =>
  [...positions].map(([lane, { upTo, done }]) => ({ lane, upTo, done: [...done] }))

const NOTHING: Omit<AckFrame, 'session'> = { acked: [], failed: [], held: [], missing: [], window: 0, greet: false }

/** Tells a peer that has no session here to greet. */
export const requestHello = (port: Pick<Port, 'to' | 'log'>, peer: string, session: number): void => {
  port
    .to(peer, deliveryProtocol)
    .answers(encodeAckFrame({ ...NOTHING, session, greet: true }))
    .catch((error: unknown) => port.log.info('a sender was not asked to greet', { destination: peer, error }))
}

export const createRemoteSender = (
  port: Pick<Port, 'to' | 'log'>,
  about: Pick<RemoteSender, 'peer' | 'epoch' | 'replaced' | 'former' | 'lastSeenAt' | 'windowSize'>,
  createWindow: (sender: () => RemoteSender) => ReceiveWindow<InboundMessage>,
): RemoteSender => {
  const client = port.to(about.peer, deliveryProtocol)
  let acked = new Map<number, number[]>()
  let failed: MessageFailure[] = []
  let isDue = false

  const answer: RemoteSender['answer'] = (more) => {
    if (sender.session === 0) return
    const frame = encodeAckFrame({ ...NOTHING, session: sender.session, window: sender.windowSize, ...more })
    client
      .answers(frame)
      .catch((error: unknown) => port.log.info('an acknowledgement was not sent', { destination: about.peer, error }))
  }

  const flush = (): void => {
    isDue = false
    const more = { acked: [...acked].map(([lane, sequences]) => ({ lane, sequences })), failed }
    acked = new Map()
    failed = []
    answer(more)
  }

  const flushSoon = (): void => {
    if (isDue) return
    isDue = true
    queueMicrotask(flush)
  }

  const row = (): Uint8Array =>
    encodeSender({
      epoch: sender.epoch,
      replaced: sender.replaced,
      lastSeenAt: Math.floor(sender.lastSeenAt),
      lanes: sender.window.liveAckRanges(),
      former: sender.former,
    })
  const change: RowChange = { key: SENDERS + about.peer, value: row }

  const sender: RemoteSender = {
    ...about,
    window: createWindow(() => sender),
    session: 0,
    askAgainAt: 0,
    onIdle: undefined,
    ack(lane, sequence) {
      const known = acked.get(lane)
      if (known === undefined) acked.set(lane, [sequence])
      else known.push(sequence)
      flushSoon()
    },
    fail(failure) {
      failed.push(failure)
      flushSoon()
    },
    answer,
    change: () => change,
  }
  return sender
}
