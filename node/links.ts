/**
 * Outgoing links: one long-lived stream per (peer, protocol), opened on first use and again after it broke.
 *
 * State: the open links, and those being opened. A link lives on the connection that was in use when it was opened; when
 * another one takes over, new calls open a new link there and the old one drains. Links that nothing used for a while
 * are closed, so their number is bounded by what is in use.
 */
import type { Connection, Stream } from '@libp2p/interface'
import { isParleyError, ParleyError } from '../protocols/errors.ts'
import type { Stop } from '../protocols/port.ts'
import { type Caller, createCaller, type LateReply } from '../protocols/wire/caller.ts'
import type { Duplex } from '../protocols/wire/duplex.ts'
import type { LinkDeps } from '../protocols/wire/link.ts'
import { streamDuplex } from './stream-duplex.ts'

export interface LinkTarget {
  peer: string
  /** `/parley/<name>/<major>` */
  protocolId: string
  version: string
}

export interface Links {
  /** The open link, or undefined: then await open(). */
  get(peer: string, protocolId: string): Caller | undefined
  /** @throws COM002 when the peer cannot be reached, MSG004 when it does not speak the protocol */
  open(target: LinkTarget, signal?: AbortSignal): Promise<Caller>
  /** A link on this very connection, for admission. The caller of this closes it. */
  openOn(connection: Connection, target: LinkTarget, signal: AbortSignal): Promise<Caller>
  /** Links on other connections to this peer drain and close. */
  moveTo(peer: string, connection: Connection): void
  inFlight(peer: string): number
  queuedBytes(peer: string): number
  busy(connection: Connection): boolean
  count(peer?: string): number
  late(): LateReply[]
  close(drainMs: number): Promise<void>
}

export interface LinksDeps extends LinkDeps {
  random(bytes: number): Uint8Array
  /** The admitted connection to a peer, dialled when there is none. */
  connection(peer: string, signal: AbortSignal): Promise<Connection>
  /** A duplex to this node itself. */
  loopback(protocolId: string): Duplex
  self: string
  openTimeoutMs: number
  /** Links not used for this long are closed, milliseconds. */
  idleMs: number
}

interface Entry {
  caller: Caller
  peer: string
  connection: Connection | undefined
  usedAt: number
}

/** Streams of one protocol on one connection: a link each way, and some for links that drain. */
const MAX_STREAMS = 64
const DRAIN_MS = 30_000

const unreachable = (peer: string, cause: unknown): ParleyError => {
  if (isParleyError(cause)) return cause
  return new ParleyError(
    'COM002',
    `${peer} cannot be reached: ${cause instanceof Error ? cause.message : String(cause)}`,
    {
      hint: 'is it running, and are its addresses right? See parley peers',
      details: { sent: false },
      cause,
    },
  )
}

const unsupported = (target: LinkTarget): ParleyError =>
  new ParleyError('MSG004', `${target.peer} does not speak ${target.protocolId}`, {
    hint: 'call any() to reach a peer that does, or update that peer',
  })

export const createLinks = (deps: LinksDeps): Links => {
  const entries = new Map<string, Entry>()
  const opening = new Map<string, Promise<Caller>>()
  const draining = new Set<Entry>()
  /** All entries of a peer, draining ones too: asked for with each choice among peers. */
  const byPeer = new Map<string, Set<Entry>>()
  const now = () => deps.clock.monotonic()
  const keyOf = (peer: string, protocolId: string): string => `${peer} ${protocolId}`

  const newStream = async (connection: Connection, target: LinkTarget, signal: AbortSignal): Promise<Stream> => {
    let stream: Stream
    try {
      stream = await connection.newStream([target.protocolId], {
        signal,
        maxOutboundStreams: MAX_STREAMS,
        runOnLimitedConnection: true,
      })
    } catch (error) {
      if (error instanceof Error && error.name === 'UnsupportedProtocolError') throw unsupported(target)
      throw unreachable(target.peer, error)
    }
    // newStream() may hand over a stream that was reset already; no close event follows then.
    if (stream.status === 'open') return stream
    throw unreachable(target.peer, new Error(`the new stream was ${stream.status} at once`))
  }

  const start = (duplex: Duplex, target: LinkTarget, onClose: () => void): Caller =>
    createCaller(duplex, deps, { version: target.version, onClose })

  const add = (
    key: string,
    peer: string,
    connection: Connection | undefined,
    duplex: Duplex,
    target: LinkTarget,
  ): Caller => {
    const entry: Entry = {
      peer,
      connection,
      usedAt: now(),
      caller: start(duplex, target, () => {
        draining.delete(entry)
        if (entries.get(key) === entry) entries.delete(key)
        const ofPeer = byPeer.get(peer)
        ofPeer?.delete(entry)
        if (ofPeer?.size === 0) byPeer.delete(peer)
      }),
    }
    entries.set(key, entry)
    const ofPeer = byPeer.get(peer) ?? new Set<Entry>()
    byPeer.set(peer, ofPeer.add(entry))
    return entry.caller
  }

  const openLink = async (target: LinkTarget, signal: AbortSignal): Promise<Caller> => {
    const key = keyOf(target.peer, target.protocolId)
    if (target.peer === deps.self) return add(key, target.peer, undefined, deps.loopback(target.protocolId), target)
    let connection: Connection
    try {
      connection = await deps.connection(target.peer, signal)
    } catch (error) {
      throw unreachable(target.peer, error)
    }
    const stream = await newStream(connection, target, signal)
    return add(key, target.peer, connection, streamDuplex(stream), target)
  }

  const drain = (key: string, entry: Entry): void => {
    if (entries.get(key) === entry) entries.delete(key)
    draining.add(entry)
    void entry.caller.close(DRAIN_MS).finally(() => draining.delete(entry))
  }

  const sweep = (): void => {
    for (const [key, entry] of entries) {
      if (entry.caller.inFlight() + entry.caller.waiting() > 0) entry.usedAt = now()
      else if (now() - entry.usedAt > deps.idleMs) drain(key, entry)
    }
  }
  const stopSweep: Stop = deps.timers.every(Math.max(1000, deps.idleMs / 4), sweep)

  const sum = (peer: string, figure: (caller: Caller) => number): number => {
    let total = 0
    for (const { caller } of byPeer.get(peer) ?? []) total += figure(caller)
    return total
  }

  return {
    get(peer, protocolId) {
      const entry = entries.get(keyOf(peer, protocolId))
      if (entry === undefined || entry.caller.closed()) return undefined
      entry.usedAt = now()
      return entry.caller
    },
    open(target, signal) {
      const key = keyOf(target.peer, target.protocolId)
      const known = entries.get(key)
      if (known !== undefined && !known.caller.closed()) return Promise.resolve(known.caller)
      // Shared by all who wait for this link: one caller's abort must not break it off for the others.
      let pending = opening.get(key)
      if (pending === undefined) {
        pending = openLink(target, AbortSignal.timeout(deps.openTimeoutMs)).finally(() => opening.delete(key))
        pending.catch(() => {})
        opening.set(key, pending)
      }
      return signal === undefined ? pending : raceAbort(pending, signal)
    },
    async openOn(connection, target, signal) {
      return start(streamDuplex(await newStream(connection, target, signal)), target, () => {})
    },
    moveTo(peer, connection) {
      for (const [key, entry] of [...entries]) {
        if (entry.peer === peer && entry.connection !== undefined && entry.connection !== connection) drain(key, entry)
      }
    },
    inFlight: (peer) => sum(peer, (caller) => caller.inFlight() + caller.waiting()),
    queuedBytes: (peer) => sum(peer, (caller) => caller.queuedBytes()),
    busy: (connection) =>
      [...entries.values(), ...draining].some(
        (entry) => entry.connection === connection && entry.caller.inFlight() + entry.caller.waiting() > 0,
      ),
    count: (peer) => (peer === undefined ? entries.size : (byPeer.get(peer)?.size ?? 0)),
    late: () => [...entries.values()].flatMap(({ caller }) => [...caller.late()]),
    async close(drainMs) {
      stopSweep()
      await Promise.all([...entries.values(), ...draining].map(({ caller }) => caller.close(drainMs)))
      entries.clear()
    },
  }
}

const raceAbort = <T>(promise: Promise<T>, signal: AbortSignal): Promise<T> =>
  new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason)
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
