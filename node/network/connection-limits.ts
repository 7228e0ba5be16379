/**
 * The bounds of unadmitted connections (unadmitted-connections.ts), put to libp2p: each connection is counted from the moment its
 * socket is there, so that half-open ones are seen as well, with what it receives and the streams that it opens.
 *
 * libp2p's own bounds refuse whoever comes once they are full, and count nothing before the handshake is done; they are
 * set beyond these. Nothing is counted any more, and nothing costs, once the peer is admitted.
 * State: the counted connections, by libp2p's objects.
 */

import { Server, type Socket } from 'node:net'
import type { Connection, Listener, MultiaddrConnection, Transport } from '@libp2p/interface'
import { Uint8ArrayList } from 'uint8arraylist'
import type { Clock, Stop, Timers } from '../../protocols/port.ts'
import type { UnadmittedFigures } from '../observe/metrics/mesh-figures.ts'
import {
  createUnadmittedConnections,
  MAX_UNADMITTED,
  type UnadmittedConnection,
  type UnadmittedConnections,
} from './unadmitted-connections.ts'

/** libp2p's own bound stands this far above `limits.maxConnections`, which is for members. */
export const ROOM_FOR_UNADMITTED = MAX_UNADMITTED

export interface ConnectionLimitsDeps {
  readonly clock: Pick<Clock, 'monotonic'>
  readonly timers: Pick<Timers, 'after'>
  readonly limits: {
    readonly maxConnections: number
    readonly inboundConnectionsPerSecond: number
    readonly maxHeldStreams: number
  }
  /** In which a socket has to become a libp2p connection, milliseconds. */
  readonly handshakeMs: number
}

interface Counted {
  readonly entry: UnadmittedConnection
  stop(): void
}

/** Replaces a method of this one object. @returns undoes it */
const wrapped = (raw: MultiaddrConnection, received: (bytes: number) => void): Stop => {
  const onData: unknown = Reflect.get(raw, 'onData')
  // A transport that takes its bytes in another way, such as QUIC, has windows of its own.
  if (typeof onData !== 'function') return () => {}
  Reflect.set(raw, 'onData', (data: { byteLength: number }) => {
    received(data.byteLength)
    onData.call(raw, data)
  })
  return () => void Reflect.set(raw, 'onData', onData)
}

/** The method of libp2p's connection and muxer that no interface has; undefined in another release. */
const partOf = <T extends object>(connection: Connection, name: 'maConn' | 'muxer', method: keyof T): T | undefined => {
  const part: unknown = Reflect.get(connection, name)
  return typeof part === 'object' && part !== null && typeof Reflect.get(part, method) === 'function'
    ? (part as T)
    : undefined
}

/**
 * Of the frames that came in one piece yamux opens all streams, thousands of them, also where the connection was ended at
 * the first: @libp2p/yamux 8.0.3.
 */
const silenced = (muxer: object | undefined): Stop => {
  const decoder: unknown = muxer && Reflect.get(muxer, 'decoder')
  const buffer: unknown = typeof decoder === 'object' && decoder !== null ? Reflect.get(decoder, 'buffer') : undefined
  if (muxer === undefined || !(buffer instanceof Uint8ArrayList)) return () => {}
  return () => {
    Reflect.set(muxer, 'onData', () => {})
    buffer.consume(buffer.byteLength)
  }
}

const hostAndPort = (raw: MultiaddrConnection): [host: string, port: string] => {
  const [host, port] = raw.remoteAddr.getComponents()
  return [host?.value ?? '', port?.value ?? '']
}
/** As libp2p writes it. */
const written = (host = '', port: string | number = ''): string => `${host.replace(/^::ffff:(?=\d+\.)/i, '')} ${port}`

export class ConnectionLimits {
  readonly #timers: Pick<Timers, 'after'>
  readonly #handshakeMs: number
  #maxConnections: number
  readonly #unadmitted: UnadmittedConnections
  readonly #counted = new WeakMap<MultiaddrConnection, Counted>()
  readonly #open = new Set<Connection>()
  /** Sockets that have not become a connection, by host and port of the other side. */
  readonly #sockets = new Map<string, Counted>()
  /** What was received and not looked at yet is thrown away with a connection that is ended. */
  readonly #silences = new WeakMap<UnadmittedConnection, Stop>()

  constructor({ clock, timers, limits, handshakeMs }: ConnectionLimitsDeps) {
    this.#timers = timers
    this.#handshakeMs = handshakeMs
    this.#maxConnections = limits.maxConnections
    this.#unadmitted = createUnadmittedConnections(clock, {
      perSecond: limits.inboundConnectionsPerSecond,
      heldStreams: limits.maxHeldStreams,
    })
  }

  /** For libp2p's gater, before the handshake. @param connections those that libp2p has */
  denyInbound(raw: MultiaddrConnection, connections: number): boolean {
    const [host, port] = hostAndPort(raw)
    const socket = this.#sockets.get(written(host, port))
    socket?.stop()
    const isFull = connections - this.#open.size >= this.#maxConnections
    if (isFull) this.#unadmitted.count('connections')
    const entry = isFull ? undefined : (socket?.entry ?? this.#enter(host, 'inbound', (why) => raw.abort(why)))
    if (entry === undefined) return true
    this.#count(raw, entry)
    return false
  }

  /** For libp2p's gater, after the handshake of noise: that peer sent or opened too much a moment ago. */
  denyPeer(peer: string): boolean {
    if (!this.#unadmitted.isRemembered(peer)) return false
    this.#unadmitted.count('remembered')
    return true
  }

  /** The handshake is done. */
  opened(connection: Connection): void {
    const raw = partOf<MultiaddrConnection>(connection, 'maConn', 'abort')
    const muxer = partOf<EventTarget>(connection, 'muxer', 'addEventListener')
    if (raw === undefined || connection.status !== 'open') return
    if (!this.#counted.has(raw)) {
      const entry = this.#enter(hostAndPort(raw)[0], 'outbound', (why) => connection.abort(why))
      if (entry !== undefined) this.#count(raw, entry)
    }
    const one = this.#counted.get(raw)
    if (one === undefined) return
    this.#open.add(connection)
    one.entry.named(connection.remotePeer.toString())
    muxer?.addEventListener('stream', one.entry.streamOpened)
    const stop = (): void => {
      this.#open.delete(connection)
      muxer?.removeEventListener('stream', one.entry.streamOpened)
      one.stop()
    }
    this.#silences.set(one.entry, silenced(muxer))
    this.#counted.set(raw, { entry: one.entry, stop })
    raw.addEventListener('close', stop, { once: true })
  }

  /** Its peer is a member: nothing is counted any more. */
  admitted(connection: Connection): void {
    const raw = partOf<MultiaddrConnection>(connection, 'maConn', 'abort')
    if (raw !== undefined) this.#counted.get(raw)?.stop()
  }

  /** The same transport, whose listeners tell of sockets before libp2p has heard of them. */
  watched(transport: Transport): Transport {
    const { createListener } = transport
    transport.createListener = (...given): Listener => {
      const listener = createListener.apply(transport, given)
      const server: unknown = Reflect.get(listener, 'server')
      if (server instanceof Server) server.on('connection', (socket) => this.#accepted(socket))
      return listener
    }
    return transport
  }

  setMaxConnections(most: number): void {
    this.#maxConnections = most
  }

  setInboundPerSecond(most: number): void {
    this.#unadmitted.setPerSecond(most)
  }

  figures(): UnadmittedFigures {
    return {
      connections: this.#unadmitted.size(),
      bytes: this.#unadmitted.bytes(),
      refused: { ...this.#unadmitted.ended() },
    }
  }

  /** @param close ends the connection at once */
  #enter(
    host: string,
    direction: 'inbound' | 'outbound',
    close: (why: Error) => void,
  ): UnadmittedConnection | undefined {
    const entry = this.#unadmitted.add(host, direction, (why) => {
      if (entry !== undefined) this.#silences.get(entry)?.()
      close(why)
    })
    return entry
  }

  #count(raw: MultiaddrConnection, entry: UnadmittedConnection): void {
    const unwrap = wrapped(raw, entry.received)
    const stop = (): void => {
      unwrap()
      entry.release()
      this.#counted.delete(raw)
    }
    this.#counted.set(raw, { entry, stop })
    raw.addEventListener('close', stop, { once: true })
  }

  #accepted(socket: Socket): void {
    const where = written(socket.remoteAddress, socket.remotePort)
    const entry = this.#enter(socket.remoteAddress ?? '', 'inbound', () => socket.destroy())
    if (entry === undefined) {
      socket.destroy()
      return
    }
    const stopTimer = this.#timers.after(this.#handshakeMs, () => socket.destroy())
    const stop = (): void => {
      stopTimer()
      if (this.#sockets.get(where)?.entry === entry) this.#sockets.delete(where)
    }
    this.#sockets.set(where, { entry, stop })
    socket.once('close', () => {
      stop()
      entry.release()
    })
  }
}
