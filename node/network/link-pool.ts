/**
 * Outgoing links: one long-lived stream per (peer, protocol), opened on first use and again after it broke.
 *
 * State: the open links, and those being opened. A link lives on the connection that was in use when it was opened; when
 * another one takes over, new calls open a new link there and the old one drains. Links that nothing used for a while
 * are closed, so their number is bounded by what is in use.
 */
import type { Connection, Stream } from '@libp2p/interface'
import { isParleyError, ParleyError } from '../../protocols/errors.ts'
import type { Stop } from '../../protocols/port.ts'
import { type Caller, createCaller, type LateReply } from '../../protocols/wire/caller/caller.ts'
import type { Duplex } from '../../protocols/wire/duplex.ts'
import type { LinkDeps } from '../../protocols/wire/link/link-limits.ts'
import { withFields } from '../observe/log/log-fields.ts'
import { streamDuplex } from './stream-duplex.ts'

export interface LinkTarget {
  peer: string
  /** `/parley/<name>/<major>` */
  protocolId: string
  version: string
}

export interface LinkPool {
  /** The open link, or undefined: then await open(). */
  get(peer: string, protocolId: string): Caller | undefined
  /** @throws COM002 when the peer cannot be reached, MSG004 when it does not speak the protocol */
  open(target: LinkTarget, signal?: AbortSignal): Promise<Caller>
  /** A link on this very connection, for admission. The caller of this closes it. */
  openOn(connection: Connection, target: LinkTarget, signal: AbortSignal): Promise<Caller>
  /** Protocols that have a link to this peer, or are opening one. */
  protocols(peer: string): string[]
  /** Links on this connection drain and close. */
  drainConnection(connection: Connection): void
  /** Links on other connections to this peer drain and close. */
  moveTo(peer: string, connection: Connection): void
  inFlight(peer: string): number
  queuedBytes(peer: string): number
  busy(connection: Connection): boolean
  count(peer?: string): number
  late(): LateReply[]
  close(drainMs: number): Promise<void>
}

export interface LinkPoolDeps extends LinkDeps {
  random(bytes: number): Uint8Array
  /** The admitted connection to a peer, dialled when there is none. */
  connection(target: LinkTarget, signal: AbortSignal): Promise<Connection>
  /** The connection in use, where there is one. */
  current(peer: string): Connection | undefined
  /** One of the mesh's own protocols: not worth a dial where a connection was given up. */
  isOwn(protocolId: string): boolean
  /** A duplex to this node itself. */
  loopback(protocolId: string): Duplex
  self: string
  openTimeoutMs: number
  /** Links not used for this long are closed, milliseconds. */
  idleMs: number
}

interface Entry {
  caller: Caller
  target: LinkTarget
  connection: Connection | undefined
  /** Calls that it had begun when it was looked at last, and when that number last grew. */
  calls: number
  usedAt: number
}

interface PeerLinks {
  /** In use, by protocol id. */
  readonly open: Map<string, Entry>
  readonly opening: Map<string, Promise<Caller>>
  /** Those in use and those that drain. */
  readonly all: Set<Entry>
}

/** Streams of one protocol on one connection: a link each way, and some for links that drain. */
const MAX_STREAMS = 64
/** A link that nothing new comes to ends with what is open on it; this is for what never ends. */
const DRAIN_MS = 24 * 3_600_000

/**
 * Links of the mesh's own protocols, milliseconds: a node has them with all its neighbours, most are used seldom, and
 * each end keeps some 20 KiB. Nobody waits for them to be opened.
 */
const OWN_IDLE_MS = 15_000
/** Calls of the mesh itself are of little use to a node that leaves: it waits no longer for them, milliseconds. */
const OWN_DRAIN_MS = 1_000

/** It was late with its membership: busy, or not there any more, and no stranger. */
const isLate = (error: ParleyError): boolean => error.code === 'SEC001' && error.details.reason === 'timeout'

const unreachable = (peer: string, cause: unknown): ParleyError => {
  if (isParleyError(cause) && !isLate(cause)) return cause
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

export const createLinkPool = (deps: LinkPoolDeps): LinkPool => {
  const peers = new Map<string, PeerLinks>()
  const now = () => deps.clock.monotonic()

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
    createCaller(
      duplex,
      { ...deps, log: withFields(deps.log, { destination: target.peer, protocol: target.protocolId }) },
      { version: target.version, onClose },
    )

  const linksOf = (peer: string): PeerLinks => {
    let found = peers.get(peer)
    if (found === undefined) {
      found = { open: new Map(), opening: new Map(), all: new Set() }
      peers.set(peer, found)
    }
    return found
  }

  const tidy = (peer: string, links: PeerLinks): void => {
    if (links.all.size === 0 && links.opening.size === 0) peers.delete(peer)
  }

  const add = (target: LinkTarget, connection: Connection | undefined, duplex: Duplex): Caller => {
    const { peer, protocolId } = target
    const links = linksOf(peer)
    const entry: Entry = {
      target,
      connection,
      calls: 0,
      usedAt: now(),
      caller: start(duplex, target, () => {
        if (links.open.get(protocolId) === entry) links.open.delete(protocolId)
        links.all.delete(entry)
        tidy(peer, links)
      }),
    }
    links.open.set(protocolId, entry)
    links.all.add(entry)
    return entry.caller
  }

  const openLink = async (target: LinkTarget, signal: AbortSignal): Promise<Caller> => {
    if (target.peer === deps.self) return add(target, undefined, deps.loopback(target.protocolId))
    const inUse = (): Promise<Connection> =>
      deps.connection(target, signal).catch((error: unknown) => {
        throw unreachable(target.peer, error)
      })
    let connection = await inUse()
    for (;;) {
      const stream = await newStream(connection, target, signal)
      const now = deps.current(target.peer)
      if (now === connection) return add(target, connection, streamDuplex(stream))
      // Another one took over, or none, while the stream was opened: a link on this one would keep it from closing.
      stream.abort(new Error('this connection is not in use any more'))
      if (now === undefined && deps.isOwn(target.protocolId))
        throw unreachable(target.peer, new Error('the connection was given up'))
      connection = now ?? (await inUse())
    }
  }

  const drain = (entry: Entry): void => {
    const { peer, protocolId } = entry.target
    const links = linksOf(peer)
    if (links.open.get(protocolId) === entry) links.open.delete(protocolId)
    void entry.caller.close(DRAIN_MS)
  }

  const allEntries = (): Entry[] => [...peers.values()].flatMap(({ all }) => [...all])
  const openEntries = (): Entry[] => [...peers.values()].flatMap(({ open }) => [...open.values()])

  const idleMsOf = ({ protocolId }: LinkTarget): number =>
    deps.isOwn(protocolId) ? Math.min(OWN_IDLE_MS, deps.idleMs) : deps.idleMs
  const sweep = (): void => {
    for (const entry of openEntries()) {
      const calls = entry.caller.calls()
      if (calls > entry.calls || entry.caller.inFlight() + entry.caller.waiting() > 0) {
        entry.calls = calls
        entry.usedAt = now()
      } else if (now() - entry.usedAt > idleMsOf(entry.target)) drain(entry)
    }
  }
  const stopSweep: Stop = deps.timers.every(Math.max(1_000, Math.min(OWN_IDLE_MS, deps.idleMs) / 4), sweep)

  const sum = (peer: string, figure: (caller: Caller) => number): number => {
    let total = 0
    for (const { caller } of peers.get(peer)?.all ?? []) total += figure(caller)
    return total
  }

  const get = (peer: string, protocolId: string): Caller | undefined => {
    const caller = peers.get(peer)?.open.get(protocolId)?.caller
    return caller === undefined || caller.closed() ? undefined : caller
  }

  return {
    get,
    open(target, signal) {
      const known = get(target.peer, target.protocolId)
      if (known !== undefined) return Promise.resolve(known)
      // Shared by all who wait for this link: one caller's abort must not break it off for the others.
      const links = linksOf(target.peer)
      let pending = links.opening.get(target.protocolId)
      if (pending === undefined) {
        pending = openLink(target, AbortSignal.timeout(deps.openTimeoutMs)).finally(() => {
          links.opening.delete(target.protocolId)
          tidy(target.peer, links)
        })
        pending.catch(() => {})
        links.opening.set(target.protocolId, pending)
      }
      return signal === undefined ? pending : raceAbort(pending, signal)
    },
    async openOn(connection, target, signal) {
      return start(streamDuplex(await newStream(connection, target, signal)), target, () => {})
    },
    moveTo(peer, connection) {
      for (const entry of [...(peers.get(peer)?.open.values() ?? [])]) {
        if (entry.connection !== undefined && entry.connection !== connection) drain(entry)
      }
    },
    protocols(peer) {
      const links = peers.get(peer)
      if (links === undefined) return []
      return [...links.opening.keys(), ...[...links.all].map(({ target }) => target.protocolId)]
    },
    drainConnection(connection) {
      for (const entry of openEntries()) if (entry.connection === connection) drain(entry)
    },
    inFlight: (peer) => sum(peer, (caller) => caller.inFlight() + caller.waiting()),
    queuedBytes: (peer) => sum(peer, (caller) => caller.queuedBytes()),
    busy: (connection) => allEntries().some((entry) => entry.connection === connection),
    count: (peer) => (peer === undefined ? openEntries().length : (peers.get(peer)?.all.size ?? 0)),
    late: () => openEntries().flatMap(({ caller }) => [...caller.late()]),
    async close(drainMs) {
      stopSweep()
      const drainMsOf = ({ protocolId }: LinkTarget): number =>
        deps.isOwn(protocolId) ? Math.min(OWN_DRAIN_MS, drainMs) : drainMs
      await Promise.all(allEntries().map(({ caller, target }) => caller.close(drainMsOf(target))))
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
