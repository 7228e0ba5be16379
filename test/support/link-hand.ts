/**
 * A link of which one end is played by hand: frames are written and read by the test, so that the part under test meets
 * a peer that is late, wrong or hostile.
 */

import { createVirtualTime, type VirtualTime } from '../../node/testing/virtual/virtual-time.ts'
import type { ParleyError } from '../../protocols/errors.ts'
import type { Compression } from '../../protocols/port.ts'
import { type Caller, createCaller, type OutgoingCall } from '../../protocols/wire/caller/caller.ts'
import { type Duplex, duplexPair } from '../../protocols/wire/duplex.ts'
import { type Frame, KIND, writeFrame } from '../../protocols/wire/frames/frame.ts'
import { createFrameReader } from '../../protocols/wire/frames/frame-reader.ts'
import type { Hello } from '../../protocols/wire/frames/nested-messages.ts'
import { ProtobufWriter } from '../../protocols/wire/frames/protobuf.ts'
import type { LinkLimits } from '../../protocols/wire/link/link-limits.ts'
import { createDemo, type Demo, demo } from './demo-protocol.ts'
import { createEnd, type End, LIMITS, type ServeOptions, type Serving, START_MS, serve, settle } from './links.ts'
import { frameOf } from './proto-oracle.ts'

/** One end of a link that a test plays by hand. */
export interface Hand {
  send(...frames: Frame[]): void
  sendBytes(bytes: Uint8Array): void
  received: Frame[]
  /** How the other end closed the link; undefined while it is open. */
  closed(): { reason?: Error } | undefined
  duplex: Duplex
}

export const HELLO: Hello = {
  version: '1.0.0',
  encodings: [],
  maxMessageBytes: LIMITS.maxMessageBytes,
  session: new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]),
  startedAtMs: START_MS,
}

/** A hand at one end of a duplex; the other end is for the part under test. */
export const playByHand = (): { hand: Hand; other: Duplex } => {
  const [mine, other] = duplexPair(queueMicrotask)
  const received: Frame[] = []
  const inbox = createFrameReader(16 * 1024 * 1024)
  let closed: { reason?: Error } | undefined
  mine.listen({
    data: (bytes) => inbox.push(bytes, (frame) => received.push(frame)),
    writable() {},
    close(reason) {
      closed = reason === undefined ? {} : { reason }
    },
  })
  return {
    other,
    hand: {
      received,
      duplex: mine,
      closed: () => closed,
      sendBytes: (bytes) => mine.send(bytes),
      send(...frames) {
        for (const frame of frames) {
          const writer = new ProtobufWriter()
          writeFrame(writer, frame)
          mine.send(writer.finish())
        }
      },
    },
  }
}

/** The first frame of a well-behaved peer. */
export const hello = frameOf({ kind: KIND.hello, hello: HELLO })

/** A call as a link takes it. */
export const outCall = (method: string, payload = new Uint8Array(0), timeoutMs = 1000): OutgoingCall => ({
  label: `demo.${method}`,
  method,
  payload,
  content: 0,
  priority: 0,
  timeoutMs,
})

export interface HandOptions {
  limits?: Partial<LinkLimits>
  can?: Compression
  /** Whether the hand has said hello already. */
  greets?: boolean
}

/** A caller whose peer is played by hand. */
export const callByHand = async (
  options: HandOptions = {},
): Promise<{ time: VirtualTime; hand: Hand; end: End; caller: Caller; closed(): ParleyError | undefined }> => {
  const time = createVirtualTime()
  const { hand, other } = playByHand()
  const end = createEnd(time, { ...LIMITS, ...options.limits }, options.can)
  let closed: ParleyError | undefined
  const caller = createCaller(other, end.deps, {
    version: '1.0.0',
    peer: 'bob',
    onClose(error) {
      closed = error
    },
  })
  if (options.greets !== false) hand.send(hello)
  await settle(time)
  return { time, hand, end, caller, closed: () => closed }
}

/** The demo protocol, served to a caller that is played by hand. */
export const serveByHand = async (
  options: Omit<ServeOptions, 'time'> & { greets?: boolean } = {},
): Promise<{ time: VirtualTime; hand: Hand } & Demo & Serving> => {
  const time = createVirtualTime()
  const made = createDemo()
  const { hand, other } = playByHand()
  const serving = serve(other, demo, made.handlers, { ...options, time })
  if (options.greets !== false) hand.send(hello)
  await settle(time)
  return { time, hand, ...made, ...serving }
}
