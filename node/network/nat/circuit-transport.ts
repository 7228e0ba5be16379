/**
 * Connections by way of a relay: dialling a peer through one, taking those that come through one, and asking one for a
 * reservation. Upstream's transport does the first two; it is loaded with the first of them.
 *
 * A relayed connection is secured end to end like any other: the relay proves nothing and reads nothing. It stands on a
 * stream of the connection with the relay that is in use (peers.ts). Connections are taken from admitted relays only at
 * which this node has a place.
 * State: the loaded transport. Wire ids: `HOP`, `STOP`. Source: libp2p circuit relay v2 specification.
 */
import type { CircuitRelayTransportComponents } from '@libp2p/circuit-relay-v2'
import { type Connection, type PeerId, type StreamHandler, type Transport, transportSymbol } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { ParleyError } from '../../../protocols/errors.ts'
import type { StreamGater } from '../../trust/stream-gater.ts'
import { isRelayed, peerAtEnd } from '../addresses/multiaddresses.ts'
import { behindGater, withOverrides } from '../overrides/libp2p-proxies.ts'
import { decodeHop, encodeHop, HOP, RELAY_STATUS, readMessage, statusText, withLengthPrefix } from './relay-messages.ts'

const RESERVE_LIMIT_MS = 5_000
/** Relayed connections that come over one connection with a relay. */
const MAX_INBOUND = 1024

export interface CircuitTransportDeps {
  readonly gate: Pick<StreamGater, 'hold'>
  /** The connection in use with an admitted member. */
  connectionOf(peer: string): Connection | undefined
  /** Dials this address, which ends with a peer id, whatever connections there are. */
  dial(address: Multiaddr, signal: AbortSignal): Promise<Connection>
  /** This node has a place at that relay. */
  hasReservation(relay: string): boolean
}

type Loaded = Transport & { start(): Promise<void>; stop(): Promise<void>; reservationStore: object }

const isLoaded = (transport: Transport): transport is Loaded =>
  'start' in transport &&
  typeof transport.start === 'function' &&
  'stop' in transport &&
  typeof transport.stop === 'function' &&
  'reservationStore' in transport &&
  typeof transport.reservationStore === 'object'

export class CircuitTransport {
  readonly #deps: CircuitTransportDeps
  #components: CircuitRelayTransportComponents | undefined
  #loading: Promise<Loaded> | undefined
  #listening: Promise<void> | undefined

  constructor(deps: CircuitTransportDeps) {
    this.#deps = deps
  }

  /** Connections that can carry a relayed one, the one in use alone where there is one: others are about to close. */
  #carriers(manager: CircuitRelayTransportComponents['connectionManager'], peer: PeerId | undefined) {
    const isDirect = ({ status, remoteAddr }: Connection): boolean =>
      status === 'open' && !isRelayed(remoteAddr.toString())
    const used = peer === undefined ? undefined : this.#deps.connectionOf(peer.toString())
    return used !== undefined && isDirect(used) ? [used] : manager.getConnections(peer).filter(isDirect)
  }

  #managerOf(given: CircuitRelayTransportComponents) {
    return withOverrides(given.connectionManager, {
      getConnections: (peer: PeerId | undefined) => this.#carriers(given.connectionManager, peer),
    })
  }

  /** A relay carries nothing that comes to it through another relay: one that is reached so is dialled directly first. */
  async #reachDirectly(through: string, signal: AbortSignal): Promise<void> {
    const relay = peerAtEnd(through)
    if (relay === undefined || this.#components === undefined) return
    if (this.#carriers(this.#components.connectionManager, peerIdFromString(relay)).length > 0) return
    await this.#deps.dial(multiaddr(through), signal)
  }

  #registrarOf(given: CircuitRelayTransportComponents) {
    return withOverrides(given.registrar, {
      handle: (protocolId: string, handler: StreamHandler, options?: object) =>
        given.registrar.handle(
          protocolId,
          behindGater(this.#deps.gate, (stream, connection) => {
            if (this.#deps.hasReservation(connection.remotePeer.toString())) return handler(stream, connection)
            stream.abort(new Error('this node has no place at that relay'))
          }),
          options,
        ),
    })
  }

  async #load(given: CircuitRelayTransportComponents): Promise<Loaded> {
    const { circuitRelayTransport } = await import('@libp2p/circuit-relay-v2')
    const own = withOverrides(given, { connectionManager: this.#managerOf(given), registrar: this.#registrarOf(given) })
    const transport = circuitRelayTransport({ maxInboundStopStreams: MAX_INBOUND })(own)
    if (!isLoaded(transport)) throw new Error('the installed @libp2p/circuit-relay-v2 is not the one that is known')
    // Places are asked for here; upstream would ask for one at any relay that somebody connects through.
    Object.assign(transport.reservationStore, { hasReservation: () => true })
    return transport
  }

  #loaded(): Promise<Loaded> {
    if (this.#components === undefined) throw new Error('libp2p was not created with this transport')
    this.#loading ??= this.#load(this.#components)
    return this.#loading
  }

  /** For `createLibp2p({ transports })`. */
  readonly factory = (given: CircuitRelayTransportComponents): Transport => {
    this.#components = given
    return {
      [transportSymbol]: true,
      [Symbol.toStringTag]: 'parley-relay',
      dial: async (address, options) => {
        const transport = await this.#loaded()
        const [through = ''] = address.toString().split('/p2p-circuit')
        await this.#reachDirectly(through, options.signal)
        return transport.dial(address, options)
      },
      createListener: () => {
        throw new Error('a place at a relay is asked for, not listened on')
      },
      listenFilter: () => [],
      dialFilter: (addresses: Multiaddr[]) => addresses.filter((address) => isRelayed(address.toString())),
    }
  }

  /** From now on others may connect through relays at which this node has a place. */
  listen(): Promise<void> {
    this.#listening ??= this.#loaded().then((transport) => transport.start())
    return this.#listening
  }

  /**
   * Asks a connected relay for a place, or to keep it.
   * @returns milliseconds since 1970 until which it is kept, by the relay's clock
   * @throws COM002 when it cannot be asked; COM003 when it has no place left
   */
  async reserve(relay: string): Promise<number> {
    const failed = (message: string, cause?: unknown): ParleyError =>
      new ParleyError('COM002', `the relay ${relay} ${message}`, {
        hint: 'another relay is taken, where there is one',
        ...(cause !== undefined && { cause }),
      })
    const connection = this.#deps.connectionOf(relay)
    if (connection === undefined) throw failed('is not connected')
    if (isRelayed(connection.remoteAddr.toString())) throw failed('is itself reached through a relay only')
    const signal = AbortSignal.timeout(RESERVE_LIMIT_MS)
    try {
      const stream = await connection.newStream(HOP, { signal, runOnLimitedConnection: true })
      try {
        stream.send(withLengthPrefix(encodeHop({ type: 'reserve' })))
        const { status = 0, expires = 0 } = decodeHop((await readMessage(stream, signal)).message)
        if (status === RELAY_STATUS.ok) return expires * 1000
        if (status === RELAY_STATUS.reservationRefused)
          throw new ParleyError('COM003', `the relay ${relay} refused a place: ${statusText(status)}`, {
            hint: 'another relay is taken; raise discovery.relay.maxReservations there, or have more nodes serve',
          })
        throw failed(`refused a place: ${statusText(status)}`)
      } finally {
        stream.close().catch((error: Error) => stream.abort(error))
      }
    } catch (error) {
      throw error instanceof ParleyError ? error : failed('could not be asked for a place', error)
    }
  }

  async stop(): Promise<void> {
    if (this.#listening === undefined) return
    await this.#listening.catch(() => {})
    await (await this.#loaded()).stop()
  }
}

export const createCircuitTransport = (deps: CircuitTransportDeps): CircuitTransport => new CircuitTransport(deps)
