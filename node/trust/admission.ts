/**
 * Admission: right after connecting, who dialled shows its membership and sees that of the other side.
 *
 * The dialler calls `admit` on this very connection; each side checks the other's tokens against the peer id that Noise
 * proved. Who is not let in is told why (SEC001), disconnected, and not let in again for a while. A connection on which
 * nothing was settled in time is closed. Wire id: `/parley/admission/1`. Source: DESIGN section 4.
 * Cards carry the time: how far the clocks are apart is measured by the way, and told where a token is refused for its time.
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
  type CredentialExchangeDeps,
  type Credentials,
  createCredentialExchange,
} from './credentials.ts'
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

export interface Admission {
  readonly served: Served
  /** Starts the clock for a new connection; on an outbound one, shows our card. */
  begin(connection: Connection): void
  /** Shows a fresh card on an admitted connection and takes theirs, before the memberships run out. */
  renew(connection: Connection): Promise<void>
  forget(connection: Connection): boolean
  /** A connection with this peer that is not settled yet. */
  pendingConnection(peer: string): Connection | undefined
  /** True for a peer that was refused a short time ago. */
  wasRefused(peer: string): boolean
  /** Forgets refusals, so that a peer can be tried again at once. */
  forgetRefusal(peer: string): void
  /** Forgets all refusals: what they were for has changed. */
  forgetAllRefusals(): void
  counts(): Record<string, number>
}

const MAX_REMEMBERED = 1024
/** Time for the refusal to reach the other side before the connection goes. */
const FAREWELL_MS = 100

/**
 * Whoever was only late may be a member on a busy machine, and comes back at once; a card that seems to be old may have
 * waited while this node stood still; a clock that is wrong is set at any moment.
 */
const PASSING: readonly unknown[] = ['timeout', 'clocks', 'own-clock']

const isApart = (error: unknown): error is ParleyError =>
  isParleyError(error, 'SEC001') && error.details.reason === 'founded-apart'

export const createAdmission = (deps: AdmissionDeps): Admission => {
  const remembered = new Map<string, number>()
  /** `since`: monotonic. */
  const pending = new Map<string, Map<Connection, { stop: Stop; since: number }>>()
  const counts: Record<string, number> = { admitted: 0, timeout: 0 }

  const count = (reason: string): void => {
    counts[reason] = (counts[reason] ?? 0) + 1
  }

  const cards = createCredentialExchange(deps)

  const settle = (connection: Connection): boolean => {
    const peer = connection.remotePeer.toString()
    const ofPeer = pending.get(peer)
    const waiting = ofPeer?.get(connection)
    if (waiting === undefined) return false
    waiting.stop()
    ofPeer?.delete(connection)
    if (ofPeer?.size === 0) pending.delete(peer)
    return true
  }

  const close = (connection: Connection): void => {
    connection.close().catch((error: Error) => connection.abort(error))
  }

  const remember = (peer: string): void => {
    remembered.delete(peer)
    remembered.set(peer, deps.clock.monotonic() + deps.rememberMs)
    if (remembered.size <= MAX_REMEMBERED) return
    const oldest = remembered.keys().next().value
    if (oldest !== undefined) remembered.delete(oldest)
  }

  const refuse = (connection: Connection, error: ParleyError, side: 'ours' | 'theirs'): void => {
    if (!settle(connection)) return
    const peer = connection.remotePeer.toString()
    count(typeof error.details.reason === 'string' ? error.details.reason : error.code)
    // A mesh that lost its last coordinator may be left for another one at any moment.
    const { reason } = error.details
    if (!PASSING.includes(reason) && !isApart(error)) remember(peer)
    deps.refused(connection, error, side)
    deps.timers.after(FAREWELL_MS, () => close(connection))
  }

  /** A member turns out to belong to another founded mesh. */
  const expel = (peer: string, error: ParleyError): void => {
    const connection = deps.connectionOf(peer)
    if (connection === undefined) return
    count('founded-apart')
    deps.refused(connection, error, error.remote ? 'theirs' : 'ours')
    deps.timers.after(FAREWELL_MS, () => close(connection))
  }

  const admit = (connection: Connection, theirs: Credentials, membership: Membership, skew: ClockSkew): void => {
    if (!settle(connection)) return
    count('admitted')
    remembered.delete(connection.remotePeer.toString())
    const { name, incarnation, meshId } = theirs
    deps.admitted(connection, { name, incarnation, membership, skew, meshId })
  }

  /**
   * The connection that a request came on. The router names the peer only, and two connections with one peer may be
   * waiting: each inbound one is settled by the same tokens, so all of that peer's inbound ones are.
   */
  const inboundOf = (peer: string): Connection[] =>
    [...(pending.get(peer)?.keys() ?? [])].filter((connection) => connection.direction === 'inbound')

  const served = compile(admissionProtocol, {
    async admit(theirs, { peer }) {
      const connections = inboundOf(peer)
      const nowMs = deps.clock.now()
      // A card is written after its connection was opened; one that renews, within the caller's time.
      const underWayMs = connections.map(
        (connection) => deps.clock.monotonic() - (pending.get(peer)?.get(connection)?.since ?? 0),
      )
      const skew = answererSkew(theirs.nowMs, nowMs, Math.min(deps.timeoutMs, ...underWayMs))
      const first = connections[0] ?? deps.connectionOf(peer)
      if (first === undefined) {
        throw new ParleyError('SEC001', 'this connection was refused already', {
          hint: 'connect again later',
          details: { reason: 'settled' },
        })
      }
      try {
        const membership = await cards.check(theirs, first, connections.length > 0)
        const ours = await cards.own()
        const { name, meshId } = theirs
        if (connections.length === 0) deps.renewed(peer, { membership, meshId, name, skew })
        for (const connection of connections) admit(connection, theirs, membership, skew)
        return ours
      } catch (error) {
        if (isParleyError(error)) for (const connection of connections) refuse(connection, error, 'ours')
        if (isApart(error)) expel(peer, error)
        throw error
      }
    },
    ended: ({ reason }, { peer }) => deps.ended(peer, reason),
  })

  const codec = callerCodec(admissionProtocol, 'admit', admissionProtocol.methods.admit)

  /** Cards change hands on this connection; returns what the other side showed, checked. */
  const exchange = async (
    connection: Connection,
    isNew: boolean,
  ): Promise<{ theirs: Credentials; membership: Membership; skew: ClockSkew }> => {
    const peer = connection.remotePeer.toString()
    const signal = AbortSignal.timeout(deps.timeoutMs)
    const target = { peer, protocolId: wireId(admissionProtocol), version: admissionProtocol.version }
    const link = await deps.links.openOn(connection, target, signal)
    try {
      const payload = codec.encode(await cards.own())
      const startedAt = deps.clock.monotonic()
      const answer = await link.unary({
        label: codec.label,
        method: codec.name,
        payload,
        content: codec.content,
        priority: codec.priority,
        timeoutMs: deps.timeoutMs,
        signal,
      })
      const nowMs = deps.clock.now()
      const tookMs = deps.clock.monotonic() - startedAt
      const theirs = codec.decode(answer) as Credentials
      const membership = await cards.check(theirs, connection, isNew)
      return { theirs, membership, skew: askerSkew(theirs.nowMs, nowMs, tookMs) }
    } finally {
      void link.close(0)
    }
  }

  const show = async (connection: Connection): Promise<void> => {
    const { theirs, membership, skew } = await exchange(connection, true)
    admit(connection, theirs, membership, skew)
  }

  const begin = (connection: Connection): void => {
    const peer = connection.remotePeer.toString()
    const stop = deps.timers.after(deps.timeoutMs, () => {
      const error = new ParleyError('SEC001', `${peer} showed no membership within ${deps.timeoutMs} ms`, {
        hint: 'it may be no Parley node',
        details: { reason: 'timeout' },
      })
      refuse(connection, error, 'ours')
    })
    const ofPeer = pending.get(peer) ?? new Map<Connection, { stop: Stop; since: number }>()
    ofPeer.set(connection, { stop, since: deps.clock.monotonic() })
    pending.set(peer, ofPeer)
    if (connection.direction !== 'outbound') return
    show(connection).catch((error: unknown) => {
      if (isParleyError(error, 'SEC001')) refuse(connection, error, error.remote ? 'theirs' : 'ours')
      else if (isParleyError(error, 'MSG004')) {
        const stranger = new ParleyError('SEC001', `${peer} is no Parley node: ${error.message}`, {
          hint: 'check the address to join',
          details: { reason: 'no-parley' },
        })
        refuse(connection, stranger, 'ours')
      } else {
        // A broken connection is nobody's fault: closed, and dialled again by whoever wants it.
        settle(connection)
        deps.log.info('admission did not finish', { peer, error })
        close(connection)
      }
    })
  }

  return {
    served,
    begin,
    async renew(connection) {
      const peer = connection.remotePeer.toString()
      try {
        const { theirs, membership, skew } = await exchange(connection, false)
        deps.renewed(peer, { membership, meshId: theirs.meshId, name: theirs.name, skew })
      } catch (error) {
        if (isApart(error)) expel(peer, error)
        throw error
      }
    },
    forget: settle,
    pendingConnection: (peer) => pending.get(peer)?.keys().next().value,
    wasRefused(peer) {
      const until = remembered.get(peer)
      if (until === undefined) return false
      if (until > deps.clock.monotonic()) return true
      remembered.delete(peer)
      return false
    },
    forgetRefusal: (peer) => void remembered.delete(peer),
    forgetAllRefusals: () => remembered.clear(),
    counts: () => counts,
  }
}
