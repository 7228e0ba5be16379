/**
 * Entries of the outbox as frames on the wire, in order, their bodies read from the disk where they are not in memory.
 *
 * State: the reading that is under way; what is sent meanwhile goes after it.
 */
import type { Port } from '../../../port.ts'
import { deliveryProtocol } from '../../contract.ts'
import { encodeMessageFrame, type FrameEntry } from '../../delivery-frames.ts'
import type { OutgoingMessage } from '../outgoing-message.ts'
import type { BodyCache } from './body-cache.ts'

export interface OutboxTransmitterDeps {
  readonly port: Pick<Port, 'clock' | 'log' | 'to'>
  readonly peer: string
  readonly bodies: BodyCache
  /** A frame of this session did not go out. */
  failed(session: number, error: unknown): void
  isCurrent(session: number): boolean
}

export interface OutboxTransmitter {
  send(session: number, entries: readonly OutgoingMessage[]): void
  /** Nothing is to be done for these numbers. */
  skip(session: number, lane: number, sequences: readonly number[]): void
}

/** Well below what a link takes as one message; a single larger message goes alone. */
const FRAME_BYTES = 256 * 1024
/** Numbers, tags and lengths of an entry. */
const ENTRY_BYTES = 48

export const createOutboxTransmitter = ({
  port,
  peer,
  bodies,
  failed,
  isCurrent,
}: OutboxTransmitterDeps): OutboxTransmitter => {
  const client = port.to(peer, deliveryProtocol)
  let loading: Promise<void> | undefined

  const wireOf = (entry: OutgoingMessage): FrameEntry => ({
    lane: entry.lane,
    sequence: entry.sequence,
    message: entry.isSkip ? undefined : entry.body,
    ttlMs: entry.expiresAt === undefined ? 0 : Math.max(1, Math.ceil(entry.expiresAt - port.clock.now())),
    attempt: entry.attempts + 1,
  })

  const sendNow = (session: number, entries: readonly OutgoingMessage[]): void => {
    let frame: FrameEntry[] = []
    let bytes = 0
    const flush = (): void => {
      if (frame.length === 0) return
      client.messages(encodeMessageFrame(session, frame)).catch((error: unknown) => failed(session, error))
      frame = []
      bytes = 0
    }
    for (const entry of entries) {
      // Acknowledged, or made a dead letter, while its body was read.
      if (entry.stage !== 'sent' || (entry.body === undefined && !entry.isSkip)) continue
      const wire = wireOf(entry)
      const size = (wire.message?.length ?? 0) + ENTRY_BYTES
      if (bytes + size > FRAME_BYTES) flush()
      bytes += size
      frame.push(wire)
    }
    flush()
  }

  const loadAndSend = async (
    before: Promise<void> | undefined,
    session: number,
    entries: readonly OutgoingMessage[],
  ): Promise<void> => {
    await before
    try {
      await bodies.load(entries)
      if (isCurrent(session)) sendNow(session, entries)
    } catch (error) {
      // The store tells of its own failures; what was not sent is late, and sent again.
      port.log.info('messages of the outbox could not be read', { destination: peer, error })
    }
  }

  return {
    send(session, entries) {
      if (loading === undefined && entries.every((entry) => entry.isSkip || entry.body !== undefined)) {
        sendNow(session, entries)
        return
      }
      const sending = loadAndSend(loading, session, entries)
      loading = sending
      void sending.then(() => {
        if (loading === sending) loading = undefined
      })
    },
    skip(session, lane, sequences) {
      if (sequences.length === 0) return
      const entries = sequences.map((sequence) => ({ lane, sequence, message: undefined, ttlMs: 0, attempt: 1 }))
      client.messages(encodeMessageFrame(session, entries)).catch((error: unknown) => failed(session, error))
    },
  }
}
