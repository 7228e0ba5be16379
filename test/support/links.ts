/**
 * A caller and a responder over a duplex in memory, with time that a test moves, and with every frame that travels
 * between them on record. With one end played by hand: link-hand.ts.
 *
 * Real: everything in protocols/wire, zlib. Virtual: time, randomness, the connection.
 */
import * as zlib from 'node:zlib'
import { createRandom, createVirtualTime, type VirtualTime } from '../../node/testing/virtual/virtual-time.ts'
import type { AnyProtocol, Handlers, Progress } from '../../protocols/define.ts'
import { ParleyError } from '../../protocols/errors.ts'
import type { Compression, Encoding, Fields } from '../../protocols/port.ts'
import { type Caller, createCaller, type OutgoingCall } from '../../protocols/wire/caller/caller.ts'
import { type Duplex, duplexPair } from '../../protocols/wire/duplex.ts'
import { type Frame, KIND } from '../../protocols/wire/frames/frame.ts'
import { createFrameReader } from '../../protocols/wire/frames/frame-reader.ts'
import type { EnvelopeExtra } from '../../protocols/wire/frames/nested-messages.ts'
import {
  createLinkCounts,
  type LinkCounts,
  type LinkDeps,
  type LinkLimits,
} from '../../protocols/wire/link/link-limits.ts'
import { type CallerCodec, callerCodec, compile, type Endpoint } from '../../protocols/wire/payload/contract.ts'
import {
  type ConcurrencyLimiter,
  createConcurrencyLimiter,
} from '../../protocols/wire/responder/concurrency-limiter.ts'
import { createResponder, type ForwardedReply, type Responder } from '../../protocols/wire/responder/responder.ts'
import { createUnreadResponses, type UnreadResponses } from '../../protocols/wire/responder/unread-responses.ts'

export const LIMITS: LinkLimits = {
  maxMessageBytes: 256 * 1024,
  maxFrameBytes: 64 * 1024,
  partBytes: 16 * 1024,
  maxInFlight: 1024,
  maxQueuedCalls: 64,
  maxQueuedBytes: 256 * 1024,
  maxUnsentBytes: 64 * 1024,
  streamWindow: 8,
  compressMinBytes: 0,
  maxCallMs: 600_000,
  maxStreamMs: 3_600_000,
  streamIdleMs: 300_000,
}

export const START_MS = 1_700_000_000_000

/** What a platform can do, by zlib; `encodings` in order of preference. */
export const compression = (...encodings: Exclude<Encoding, 'identity'>[]): Compression => ({
  encodings,
  async compress(encoding, bytes) {
    return encoding === 'zstd' ? zlib.zstdCompressSync(bytes) : zlib.gzipSync(bytes)
  },
  decompress(encoding, bytes, maxBytes) {
    const options = { maxOutputLength: maxBytes }
    return encoding === 'zstd' ? zlib.zstdDecompressSync(bytes, options) : zlib.gunzipSync(bytes, options)
  },
})

export interface LogLine {
  message: string
  fields: Fields
}

export interface End {
  deps: LinkDeps & { random(bytes: number): Uint8Array }
  counts: LinkCounts
  logs: LogLine[]
}

/** What createCaller and createResponder both need. */
export const createEnd = (time: VirtualTime, limits: LinkLimits, able: Compression = compression(), seed = 1): End => {
  const random = createRandom(seed)
  const logs: LogLine[] = []
  const record = (message: string, fields: Fields = {}): void => {
    logs.push({ message, fields })
  }
  const counts = createLinkCounts()
  return {
    counts,
    logs,
    deps: {
      clock: { now: () => START_MS + time.now(), monotonic: () => 5000 + time.now() },
      timers: time,
      log: { error: record, warn: record, info: record },
      compression: able,
      defer: queueMicrotask,
      limits,
      counts,
      random: (bytes) => Uint8Array.from({ length: bytes }, () => Math.floor(random() * 256)),
    },
  }
}

/** Records the frames that are sent through a duplex. */
const tap = (duplex: Duplex, seen: Frame[]): Duplex => {
  const inbox = createFrameReader(16 * 1024 * 1024)
  return {
    ...duplex,
    send(bytes) {
      inbox.push(bytes.slice(), (frame) => seen.push(frame))
      duplex.send(bytes)
    },
  }
}

export interface CallSettings {
  signal?: AbortSignal
  timeoutMs?: number
  ttlMs?: number
  maxMs?: number
  extendMs?: number
  onProgress?: (progress: Progress) => void
  onRemainder?: OutgoingCall['onRemainder']
  onSent?: () => void
  priority?: number
  extra?: EnvelopeExtra
}

export interface PairOptions {
  time?: VirtualTime
  limits?: Partial<LinkLimits>
  callerLimits?: Partial<LinkLimits>
  responderLimits?: Partial<LinkLimits>
  callerCan?: Compression
  responderCan?: Compression
  slots?: ConcurrencyLimiter
  unread?: UnreadResponses
  /** The contract that the caller was written with; the served one unless told. */
  callerContract?: AnyProtocol
  reply?(reply: ForwardedReply): Promise<void>
}

export interface Pair {
  time: VirtualTime
  caller: Caller
  responder: Responder
  callerEnd: End
  responderEnd: End
  /** Frames sent by the caller, and by the responder. */
  toResponder: Frame[]
  toCaller: Frame[]
  slots: ConcurrencyLimiter
  /** What the responder told of finished requests: `echo ok`. */
  finished: string[]
  replies: ForwardedReply[]
  /** The duplexes below, to pause, break or close them. */
  below: { caller: Duplex; responder: Duplex }
  outCall(method: string, input: unknown, settings?: CallSettings): OutgoingCall
  unary(method: string, input: unknown, settings?: CallSettings): Promise<unknown>
  oneWay(method: string, input: unknown, settings?: CallSettings): Promise<void>
  stream(method: string, input: unknown, settings?: CallSettings): AsyncIterableIterator<unknown>
  kinds(frames: Frame[]): string[]
}

const KIND_NAMES = new Map<number, string>(Object.entries(KIND).map(([name, kind]) => [kind, name]))
/** Names of the frames' kinds, without HELLO. */
export const kinds = (frames: Frame[]): string[] =>
  frames.filter((frame) => frame.kind !== KIND.hello).map((frame) => KIND_NAMES.get(frame.kind) ?? `${frame.kind}`)

const routeOf =
  (methods: ReadonlyMap<string, Endpoint>) =>
  (method: string): Endpoint => {
    const endpoint = methods.get(method)
    if (endpoint !== undefined) return endpoint
    throw new ParleyError('MSG004', `there is no method ${method}`, { hint: 'update the older node' })
  }

export interface ServeOptions {
  time: VirtualTime
  limits?: Partial<LinkLimits>
  can?: Compression
  slots?: ConcurrencyLimiter
  unread?: UnreadResponses
  reply?(reply: ForwardedReply): Promise<void>
}

export interface Serving {
  responder: Responder
  end: End
  slots: ConcurrencyLimiter
  finished: string[]
  replies: ForwardedReply[]
}

export const serve = <P extends AnyProtocol>(
  duplex: Duplex,
  protocol: P,
  handlers: Handlers<P>,
  options: ServeOptions,
): Serving => {
  const end = createEnd(options.time, { ...LIMITS, ...options.limits }, options.can, 2)
  const slots = options.slots ?? createConcurrencyLimiter(4096, 4096)
  const finished: string[] = []
  const replies: ForwardedReply[] = []
  const responder = createResponder(
    duplex,
    {
      ...end.deps,
      slots,
      unread: options.unread ?? createUnreadResponses(512 * 2 ** 20, 128 * 2 ** 20),
      route: routeOf(compile(protocol, handlers).methods),
      reply:
        options.reply ??
        (async (reply) => {
          replies.push(reply)
        }),
      load: () => slots.active() + slots.queued(),
      done: (method, status) => finished.push(`${method ?? 'refused'} ${status}`),
    },
    { id: 'bob', protocol: protocol.name, version: protocol.version, peer: 'alice', onClose() {} },
  )
  return { responder, end, slots, finished, replies }
}

/** A whole link: `protocol` served on one side, called from the other. */
export const createPair = <P extends AnyProtocol>(
  protocol: P,
  handlers: Handlers<P>,
  options: PairOptions = {},
): Pair => {
  const time = options.time ?? createVirtualTime()
  const [left, right] = duplexPair(queueMicrotask)
  const toResponder: Frame[] = []
  const toCaller: Frame[] = []
  const limits = { ...LIMITS, ...options.limits }
  const serving = serve(tap(right, toCaller), protocol, handlers, {
    time,
    limits: { ...limits, ...options.responderLimits },
    ...(options.responderCan === undefined ? {} : { can: options.responderCan }),
    ...(options.slots === undefined ? {} : { slots: options.slots }),
    ...(options.unread === undefined ? {} : { unread: options.unread }),
    ...(options.reply === undefined ? {} : { reply: options.reply }),
  })
  const callerEnd = createEnd(time, { ...limits, ...options.callerLimits }, options.callerCan, 3)
  const contract = options.callerContract ?? protocol
  const caller = createCaller(tap(left, toResponder), callerEnd.deps, {
    version: contract.version,
    peer: 'bob',
    onClose() {},
  })
  const codecs = new Map<string, CallerCodec>(
    Object.entries(contract.methods).map(([name, method]) => [name, callerCodec(contract, name, method)]),
  )
  const codecOf = (method: string): CallerCodec => {
    const codec = codecs.get(method)
    if (codec === undefined) throw new Error(`the contract has no ${method}`)
    return codec
  }
  const outCall = (method: string, input: unknown, settings: CallSettings = {}): OutgoingCall => {
    const codec = codecOf(method)
    return {
      label: codec.label,
      method,
      payload: codec.encode(input),
      content: codec.content,
      priority: settings.priority ?? codec.priority,
      timeoutMs: settings.timeoutMs ?? codec.timeoutMs,
      ttlMs: settings.ttlMs,
      maxMs: settings.maxMs,
      extendMs: settings.extendMs,
      onProgress: settings.onProgress,
      onRemainder: settings.onRemainder,
      onSent: settings.onSent,
      extra: settings.extra,
      signal: settings.signal,
    }
  }
  return {
    time,
    caller,
    responder: serving.responder,
    callerEnd,
    responderEnd: serving.end,
    toResponder,
    toCaller,
    slots: serving.slots,
    finished: serving.finished,
    replies: serving.replies,
    below: { caller: left, responder: right },
    outCall,
    async unary(method, input, settings) {
      return codecOf(method).decode(await caller.unary(outCall(method, input, settings)))
    },
    async oneWay(method, input, settings) {
      await caller.oneWay(outCall(method, input, settings))
    },
    async *stream(method, input, settings) {
      const codec = codecOf(method)
      for await (const bytes of caller.stream(outCall(method, input, settings))) yield codec.decode(bytes)
    },
    kinds,
  }
}

/** Lets everything run that needs no time. */
export const settle = (time: VirtualTime): Promise<void> => time.run(0)

/** The error that a promise was rejected with; undefined while it is pending or when it was kept. */
export const errorOf = async (promise: Promise<unknown>): Promise<unknown> => {
  try {
    await promise
  } catch (error) {
    return error
  }
  throw new Error('the promise was kept')
}

export const parleyErrorOf = async (promise: Promise<unknown>): Promise<ParleyError> => {
  const error = await errorOf(promise)
  if (error instanceof ParleyError) return error
  throw new Error(`rejected with ${error}, which is no ParleyError`, { cause: error })
}
