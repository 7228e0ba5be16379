/**
 * Admission: right after connecting, who dialled shows its membership and sees that of the other side.
 *
 * The dialler calls `admit` on this very connection; each side checks the other's tokens against the peer id that Noise
 * proved. Who is not let in is told why (SEC001), disconnected, and not let in again for a while. A connection on which
 * nothing was settled in time is closed. Wire id: `/parley/admission/1`.
 * Credentials carry the time: how far the clocks are apart is measured by the way, and told where a token is refused for
 * its time.
 * State: peers that were refused lately (bounded), and the timers of the connections that are not settled yet.
 */
import type { Connection } from '@libp2p/interface'
import { wireId } from '../../protocols/define.ts'
import { isParleyError, ParleyError, type ParleyError as Refusal } from '../../protocols/errors.ts'
import type { Clock, Log, Stop, Timers } from '../../protocols/port.ts'
import { callerCodec, compile, type Served } from '../../protocols/wire/payload/contract.ts'
import type { LinkPool } from '../network/link-pool.ts'
import { answererSkew, askerSkew, type ClockSkew } from './clock-skew.ts'
import {
  admissionProtocol,
  type CredentialExchange,
  type CredentialExchangeDeps,
  type Credentials,
  createCredentialExchange,
} from './credentials.ts'
import { RecentRefusals } from './refusals.ts'
import type { Membership } from './trust.ts'

export interface AdmittedPeer {
  name: string
  incarnation: number
  membership: Membership
  skew: ClockSkew
  meshId: string | undefined
}

export interface AdmissionDeps extends CredentialExchangeDeps {
  clock: Clock
  timers: Timers
  log: Log
  links: Pick<LinkPool, 'openOn'>
  /** How long a refused peer is not let in again, milliseconds. */
  rememberMs: number
  admitted(connection: Connection, facts: AdmittedPeer): void
  /** An admitted peer showed fresh tokens. */
  renewed(peer: string, facts: Pick<AdmittedPeer, 'membership' | 'meshId' | 'name' | 'skew'>): void
  /** A peer says that this node's membership has ended there. */
  ended(peer: string, reason: string): void
  /** A connection of an admitted peer. */
  connectionOf(peer: string): Connection | undefined
  refused(connection: Connection, error: Refusal, side: 'ours' | 'theirs'): void
}

/** Time for the refusal to reach the other side before the connection goes. */
const FAREWELL_MS = 100

/**
 * Whoever was only late may be a member on a busy machine, and comes back at once; credentials that seem to be
 * old may have waited while this node stood still; a clock that is wrong is set at any moment.
 */
const PASSING: readonly unknown[] = ['timeout', 'clocks', 'own-clock']

const isApart = (error: unknown): error is ParleyError =>
  isParleyError(error, 'SEC001') && error.details.reason === 'founded-apart'

export class Admission {
  readonly #deps: AdmissionDeps
  readonly #refusals: RecentRefusals
  /** `since`: monotonic. */
  readonly #pending = new Map<string, Map<Connection, { stop: Stop; since: number }>>()
  readonly #counts: Record<string, number> = { admitted: 0, timeout: 0 }
  readonly #credentials: CredentialExchange
  readonly served: Served
  readonly #codec = callerCodec(admissionProtocol, 'admit', admissionProtocol.methods.admit)

  constructor(deps: AdmissionDeps) {
    this.#deps = deps
    this.#refusals = new RecentRefusals(deps.clock, deps.rememberMs)
    this.#credentials = createCredentialExchange(deps)
    this.served = compile(admissionProtocol, {
      admit: (theirs, { peer }) => this.#answer(theirs, peer),
      ended: ({ reason }, { peer }) => deps.ended(peer, reason),
    })
  }

  /** Somebody shows its credentials: new, or those that renew its membership. @returns those of this node */
  async #answer(theirs: Credentials, peer: string): Promise<Credentials> {
    const connections = this.#inboundOf(peer)
    const nowMs = this.#deps.clock.now()
    // Credentials are written after their connection was opened; those that renew, within the caller's time.
    const underWayMs = connections.map(
      (connection) => this.#deps.clock.monotonic() - (this.#pending.get(peer)?.get(connection)?.since ?? 0),
    )
    const skew = answererSkew(theirs.nowMs, nowMs, Math.min(this.#deps.timeoutMs, ...underWayMs))
    const first = connections[0] ?? this.#deps.connectionOf(peer)
    if (first === undefined) {
      throw new ParleyError('SEC001', 'this connection was refused already', {
        hint: 'connect again later',
        details: { reason: 'settled' },
      })
    }
    try {
      const membership = await this.#credentials.check(theirs, first, connections.length > 0)
      const ours = await this.#credentials.own()
      const { name, meshId } = theirs
      if (connections.length === 0) this.#deps.renewed(peer, { membership, meshId, name, skew })
      for (const connection of connections) this.#admit(connection, theirs, membership, skew)
      return ours
    } catch (error) {
      if (isParleyError(error)) for (const connection of connections) this.#refuse(connection, error, 'ours')
      if (isApart(error)) this.#expel(peer, error)
      throw error
    }
  }

  #count(reason: string): void {
    this.#counts[reason] = (this.#counts[reason] ?? 0) + 1
  }

  #settle(connection: Connection): boolean {
    const peer = connection.remotePeer.toString()
    const ofPeer = this.#pending.get(peer)
    const waiting = ofPeer?.get(connection)
    if (waiting === undefined) return false
    waiting.stop()
    ofPeer?.delete(connection)
    if (ofPeer?.size === 0) this.#pending.delete(peer)
    return true
  }

  #close(connection: Connection): void {
    connection.close().catch((error: Error) => connection.abort(error))
  }

  #refuse(connection: Connection, error: ParleyError, side: 'ours' | 'theirs'): void {
    if (!this.#settle(connection)) return
    const peer = connection.remotePeer.toString()
    this.#count(typeof error.details.reason === 'string' ? error.details.reason : error.code)
    // A mesh that lost its last coordinator may be left for another one at any moment.
    const { reason } = error.details
    if (!PASSING.includes(reason) && !isApart(error)) this.#refusals.add(peer)
    this.#deps.refused(connection, error, side)
    this.#deps.timers.after(FAREWELL_MS, () => this.#close(connection))
  }

  /** A member turns out to belong to another founded mesh. */
  #expel(peer: string, error: ParleyError): void {
    const connection = this.#deps.connectionOf(peer)
    if (connection === undefined) return
    this.#count('founded-apart')
    this.#deps.refused(connection, error, error.remote ? 'theirs' : 'ours')
    this.#deps.timers.after(FAREWELL_MS, () => this.#close(connection))
  }

  #admit(connection: Connection, theirs: Credentials, membership: Membership, skew: ClockSkew): void {
    if (!this.#settle(connection)) return
    this.#count('admitted')
    this.#refusals.delete(connection.remotePeer.toString())
    const { name, incarnation, meshId } = theirs
    this.#deps.admitted(connection, { name, incarnation, membership, skew, meshId })
  }

  /**
   * The connection that a request came on. The router names the peer only, and two connections with one peer may be
   * waiting: each inbound one is settled by the same tokens, so all of that peer's inbound ones are.
   */
  #inboundOf(peer: string): Connection[] {
    return [...(this.#pending.get(peer)?.keys() ?? [])].filter((connection) => connection.direction === 'inbound')
  }

  /** Both sides show their credentials on this connection. @returns those of the other side, checked */
  async #exchange(
    connection: Connection,
    isNew: boolean,
  ): Promise<{ theirs: Credentials; membership: Membership; skew: ClockSkew }> {
    const peer = connection.remotePeer.toString()
    const signal = AbortSignal.timeout(this.#deps.timeoutMs)
    const target = { peer, protocolId: wireId(admissionProtocol), version: admissionProtocol.version }
    const link = await this.#deps.links.openOn(connection, target, signal)
    try {
      const payload = this.#codec.encode(await this.#credentials.own())
      const startedAt = this.#deps.clock.monotonic()
      const answer = await link.unary({
        label: this.#codec.label,
        method: this.#codec.name,
        payload,
        content: this.#codec.content,
        priority: this.#codec.priority,
        timeoutMs: this.#deps.timeoutMs,
        signal,
      })
      const nowMs = this.#deps.clock.now()
      const tookMs = this.#deps.clock.monotonic() - startedAt
      const theirs = this.#codec.decode(answer) as Credentials
      const membership = await this.#credentials.check(theirs, connection, isNew)
      return { theirs, membership, skew: askerSkew(theirs.nowMs, nowMs, tookMs) }
    } finally {
      void link.close(0)
    }
  }

  async #show(connection: Connection): Promise<void> {
    const { theirs, membership, skew } = await this.#exchange(connection, true)
    this.#admit(connection, theirs, membership, skew)
  }

  /** Starts the clock for a new connection; on an outbound one, shows our credentials. */
  begin(connection: Connection): void {
    const peer = connection.remotePeer.toString()
    const stop = this.#deps.timers.after(this.#deps.timeoutMs, () => {
      const error = new ParleyError('SEC001', `${peer} showed no membership within ${this.#deps.timeoutMs} ms`, {
        hint: 'it may be no Parley node',
        details: { reason: 'timeout' },
      })
      this.#refuse(connection, error, 'ours')
    })
    const ofPeer = this.#pending.get(peer) ?? new Map<Connection, { stop: Stop; since: number }>()
    ofPeer.set(connection, { stop, since: this.#deps.clock.monotonic() })
    this.#pending.set(peer, ofPeer)
    if (connection.direction !== 'outbound') return
    this.#show(connection).catch((error: unknown) => this.#failed(connection, error))
  }

  /** Of a connection that this node dialled. */
  #failed(connection: Connection, error: unknown): void {
    const peer = connection.remotePeer.toString()
    if (isParleyError(error, 'SEC001')) this.#refuse(connection, error, error.remote ? 'theirs' : 'ours')
    else if (isParleyError(error, 'MSG004')) {
      const stranger = new ParleyError('SEC001', `${peer} is no Parley node: ${error.message}`, {
        hint: 'check the address to join',
        details: { reason: 'no-parley' },
      })
      this.#refuse(connection, stranger, 'ours')
    } else {
      // A broken connection is nobody's fault: closed, and dialled again by whoever wants it.
      this.#settle(connection)
      this.#deps.log.info('admission did not finish', { peer, error })
      this.#close(connection)
    }
  }

  /** Shows fresh credentials on an admitted connection and takes theirs, before the memberships run out. */
  async renew(connection: Connection): Promise<void> {
    const peer = connection.remotePeer.toString()
    try {
      const { theirs, membership, skew } = await this.#exchange(connection, false)
      this.#deps.renewed(peer, { membership, meshId: theirs.meshId, name: theirs.name, skew })
    } catch (error) {
      if (isApart(error)) this.#expel(peer, error)
      throw error
    }
  }

  forget(connection: Connection): boolean {
    return this.#settle(connection)
  }

  /** A connection with this peer that is not settled yet. */
  pendingConnection(peer: string): Connection | undefined {
    return this.#pending.get(peer)?.keys().next().value
  }

  /** True for a peer that was refused a short time ago. */
  wasRefused(peer: string): boolean {
    return this.#refusals.has(peer)
  }

  /** Forgets refusals, so that a peer can be tried again at once. */
  forgetRefusal(peer: string): void {
    this.#refusals.delete(peer)
  }

  /** Forgets all refusals: what they were for has changed. */
  forgetAllRefusals(): void {
    this.#refusals.clear()
  }

  counts(): Record<string, number> {
    return this.#counts
  }
}

export const createAdmission = (deps: AdmissionDeps): Admission => new Admission(deps)
