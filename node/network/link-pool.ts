/**
 * Outgoing links: one long-lived stream per (peer, protocol), opened on first use and again after it broke.
 *
 * State: the open links, and those being opened. A link lives on the connection that was in use when it was opened; when
 * another one takes over, new calls open a new link there and the old one drains. Links that nothing used for a while
 * are closed, so their number is bounded by what is in use.
 */
import type { Connection, Stream } from '@libp2p/interface'
import { abortable } from '../../protocols/async.ts'
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

export class LinkPool {
  readonly #deps: LinkPoolDeps
  readonly #peers = new Map<string, PeerLinks>()
  readonly #stopSweep: Stop

  constructor(deps: LinkPoolDeps) {
    this.#deps = deps
    this.#stopSweep = deps.timers.every(Math.max(1_000, Math.min(OWN_IDLE_MS, deps.idleMs) / 4), () => this.#sweep())
  }

  #now(): number {
    return this.#deps.clock.monotonic()
  }

  async #newStream(connection: Connection, target: LinkTarget, signal: AbortSignal): Promise<Stream> {
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

  #start(duplex: Duplex, target: LinkTarget, onClose: () => void): Caller {
    return createCaller(
      duplex,
      { ...this.#deps, log: withFields(this.#deps.log, { destination: target.peer, protocol: target.protocolId }) },
      { version: target.version, peer: target.peer, onClose },
    )
  }

  #linksOf(peer: string): PeerLinks {
    let found = this.#peers.get(peer)
    if (found === undefined) {
      found = { open: new Map(), opening: new Map(), all: new Set() }
      this.#peers.set(peer, found)
    }
    return found
  }

  #tidy(peer: string, links: PeerLinks): void {
    if (links.all.size === 0 && links.opening.size === 0) this.#peers.delete(peer)
  }

  #add(target: LinkTarget, connection: Connection | undefined, duplex: Duplex): Caller {
    const { peer, protocolId } = target
    const links = this.#linksOf(peer)
    const entry: Entry = {
      target,
      connection,
      calls: 0,
      usedAt: this.#now(),
      caller: this.#start(duplex, target, () => {
        if (links.open.get(protocolId) === entry) links.open.delete(protocolId)
        links.all.delete(entry)
        this.#tidy(peer, links)
      }),
    }
    links.open.set(protocolId, entry)
    links.all.add(entry)
    return entry.caller
  }

  async #openLink(target: LinkTarget, signal: AbortSignal): Promise<Caller> {
    if (target.peer === this.#deps.self) return this.#add(target, undefined, this.#deps.loopback(target.protocolId))
    const inUse = (): Promise<Connection> =>
      this.#deps.connection(target, signal).catch((error: unknown) => {
        throw unreachable(target.peer, error)
      })
    let connection = await inUse()
    for (;;) {
      const stream = await this.#newStream(connection, target, signal)
      const now = this.#deps.current(target.peer)
      if (now === connection) return this.#add(target, connection, streamDuplex(stream))
      // Another one took over, or none, while the stream was opened: a link on this one would keep it from closing.
      stream.abort(new Error('this connection is not in use any more'))
      if (now === undefined && this.#deps.isOwn(target.protocolId))
        throw unreachable(target.peer, new Error('the connection was given up'))
      connection = now ?? (await inUse())
    }
  }

  #drain(entry: Entry): void {
    const { peer, protocolId } = entry.target
    const links = this.#linksOf(peer)
    if (links.open.get(protocolId) === entry) links.open.delete(protocolId)
    void entry.caller.close(DRAIN_MS)
  }

  #allEntries(): Entry[] {
    return [...this.#peers.values()].flatMap(({ all }) => [...all])
  }

  #openEntries(): Entry[] {
    return [...this.#peers.values()].flatMap(({ open }) => [...open.values()])
  }

  #idleMsOf({ protocolId }: LinkTarget): number {
    return this.#deps.isOwn(protocolId) ? Math.min(OWN_IDLE_MS, this.#deps.idleMs) : this.#deps.idleMs
  }

  #sweep(): void {
    for (const entry of this.#openEntries()) {
      const calls = entry.caller.calls()
      if (calls > entry.calls || entry.caller.inFlight() + entry.caller.waiting() > 0) {
        entry.calls = calls
        entry.usedAt = this.#now()
      } else if (this.#now() - entry.usedAt > this.#idleMsOf(entry.target)) this.#drain(entry)
    }
  }

  #sum(peer: string, figure: (caller: Caller) => number): number {
    let total = 0
    for (const { caller } of this.#peers.get(peer)?.all ?? []) total += figure(caller)
    return total
  }

  /** The open link, or undefined: then await open(). */
  get(peer: string, protocolId: string): Caller | undefined {
    const caller = this.#peers.get(peer)?.open.get(protocolId)?.caller
    return caller === undefined || caller.closed() ? undefined : caller
  }

  /** @throws COM002 when the peer cannot be reached, MSG004 when it does not speak the protocol */
  open(target: LinkTarget, signal?: AbortSignal): Promise<Caller> {
    const known = this.get(target.peer, target.protocolId)
    if (known !== undefined) return Promise.resolve(known)
    // Shared by all who wait for this link: one caller's abort must not break it off for the others.
    const links = this.#linksOf(target.peer)
    let pending = links.opening.get(target.protocolId)
    if (pending === undefined) {
      pending = this.#openLink(target, AbortSignal.timeout(this.#deps.openTimeoutMs)).finally(() => {
        links.opening.delete(target.protocolId)
        this.#tidy(target.peer, links)
      })
      pending.catch(() => {})
      links.opening.set(target.protocolId, pending)
    }
    return abortable(pending, signal)
  }

  /** A link on this very connection, for admission. The caller of this closes it. */
  async openOn(connection: Connection, target: LinkTarget, signal: AbortSignal): Promise<Caller> {
    return this.#start(streamDuplex(await this.#newStream(connection, target, signal)), target, () => {})
  }

  /** Links on other connections to this peer drain and close. */
  moveTo(peer: string, connection: Connection): void {
    for (const entry of [...(this.#peers.get(peer)?.open.values() ?? [])]) {
      if (entry.connection !== undefined && entry.connection !== connection) this.#drain(entry)
    }
  }

  /** Protocols that have a link to this peer, or are opening one. */
  protocols(peer: string): string[] {
    const links = this.#peers.get(peer)
    if (links === undefined) return []
    return [...links.opening.keys(), ...[...links.all].map(({ target }) => target.protocolId)]
  }

  /** Links on this connection drain and close. */
  drainConnection(connection: Connection): void {
    for (const entry of this.#openEntries()) if (entry.connection === connection) this.#drain(entry)
  }

  inFlight(peer: string): number {
    return this.#sum(peer, (caller) => caller.inFlight() + caller.waiting())
  }

  queuedBytes(peer: string): number {
    return this.#sum(peer, (caller) => caller.queuedBytes())
  }

  busy(connection: Connection): boolean {
    return this.#allEntries().some((entry) => entry.connection === connection)
  }

  count(peer?: string): number {
    return peer === undefined ? this.#openEntries().length : (this.#peers.get(peer)?.all.size ?? 0)
  }

  late(): LateReply[] {
    return this.#openEntries().flatMap(({ caller }) => [...caller.late()])
  }

  async close(drainMs: number): Promise<void> {
    this.#stopSweep()
    const drainMsOf = ({ protocolId }: LinkTarget): number =>
      this.#deps.isOwn(protocolId) ? Math.min(OWN_DRAIN_MS, drainMs) : drainMs
    await Promise.all(this.#allEntries().map(({ caller, target }) => caller.close(drainMsOf(target))))
  }
}

export const createLinkPool = (deps: LinkPoolDeps): LinkPool => new LinkPool(deps)
